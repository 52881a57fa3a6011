{{/* Names and labels. Nothing here depends on the chart's version: pods must not change with it. */}}

{{- define "dit-serve.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := .Values.fullnameOverride | default (ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name)) -}}
{{- if gt (len $full) 47 -}}
{{- fail (printf "fullnameOverride: the name %s has %d characters; KubeRay takes at most 47 for a RayService" $full (len $full)) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $full) -}}
{{- fail (printf "fullnameOverride: the name %s must be lower-case letters, digits and hyphens, with a letter first (DNS-1035)" $full) -}}
{{- end -}}
{{- $full -}}
{{- end -}}

{{/* Labels that select this release's pods. KubeRay keeps what a pod template has, but for its own ray.io/ keys. */}}
{{- define "dit-serve.selectorLabels" -}}
app.kubernetes.io/part-of: dit-serve
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of objects that are not pods. */}}
{{- define "dit-serve.labels" -}}
{{ include "dit-serve.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "dit-serve.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "dit-serve.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "dit-serve.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
