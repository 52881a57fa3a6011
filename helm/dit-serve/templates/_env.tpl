{{/* Environment variables of the pods of the Ray cluster. Secrets stand here as references only. */}}

{{/* Takes what dit-serve.podTemplate takes. */}}
{{- define "dit-serve.env" -}}
{{- $values := .root.Values -}}
- name: HOME
  value: {{ include "dit-serve.home" .root }}
- name: RAY_USAGE_STATS_ENABLED
  value: "0"
{{- if eq $values.auth.mode "disabled" }}
# KubeRay says so only for tokens.
- name: RAY_AUTH_MODE
  value: disabled
{{- end }}
- name: HF_HOME
  value: {{ $values.modelCache.mountPath }}
{{- if $values.modelCache.readOnly }}
- name: HF_HUB_OFFLINE
  value: "1"
{{- end }}
{{- if eq .component "worker" }}
{{- include "dit-serve.secretEnv" .root }}
{{- include "dit-serve.networkEnv" .pod }}
{{- end }}
{{- with .pod.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What gateways and replicas, which run on workers, need to know. */}}
{{- define "dit-serve.secretEnv" -}}
{{- with .Values.secrets }}
{{- if .hubToken.name }}
{{ include "dit-serve.fromSecret" (list "HF_TOKEN" .hubToken.name .hubToken.key) }}
{{- end }}
{{- if .database.name }}
{{ include "dit-serve.fromSecret" (list (include "dit-serve.databaseVariable" $) .database.name .database.key) }}
{{- end }}
{{- if .s3.name }}
{{ include "dit-serve.fromSecret" (list "AWS_ACCESS_KEY_ID" .s3.name .s3.accessKeyIdKey) }}
{{ include "dit-serve.fromSecret" (list "AWS_SECRET_ACCESS_KEY" .s3.name .s3.secretAccessKeyKey) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A variable, a secret and its key. */}}
{{- define "dit-serve.fromSecret" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
{{- end -}}

{{/* NCCL and RDMA of a group; nothing where they are off. */}}
{{- define "dit-serve.networkEnv" -}}
{{- if .nccl.enabled }}
{{- with .nccl.socketInterface }}
- name: NCCL_SOCKET_IFNAME
  value: {{ . | quote }}
# The ranks also agree through gloo at every step.
- name: GLOO_SOCKET_IFNAME
  value: {{ . | quote }}
{{- end }}
{{- with .nccl.debug }}
- name: NCCL_DEBUG
  value: {{ . | quote }}
{{- end }}
{{- if not .rdma.enabled }}
- name: NCCL_IB_DISABLE
  value: "1"
{{- end }}
{{- end }}
{{- if .rdma.enabled }}
{{- with .rdma.hca }}
- name: NCCL_IB_HCA
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The names of all variables that the chart sets in a pod, as JSON. Takes what dit-serve.env takes. */}}
{{- define "dit-serve.envNames" -}}
{{- $names := list -}}
{{- range include "dit-serve.env" . | fromYamlArray -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}
