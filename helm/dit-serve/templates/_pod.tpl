{{/* Pods of the Ray cluster. Nothing here depends on the chart's version: a change in a pod template is a new cluster.

What the image promises (Dockerfile): its user has the uid 1000, works in /app and lives in /home/ray. The root file
system is read-only; whatever is written is on a volume: /tmp, the home folder, var (results and jobs that are not
stored elsewhere), the models, /dev/shm. */}}

{{- define "dit-serve.workFolder" -}}/app{{- end -}}
{{- define "dit-serve.home" -}}/home/ray{{- end -}}

{{/* The template of a pod. Takes root, component (head or worker), pod (the values of the head or of a group),
resources, ports, env (a list), models (whether to mount the cache), results (whether to mount them), keys (whether to
mount the list of API keys). */}}
{{- define "dit-serve.podTemplate" -}}
{{- $root := .root -}}
{{- $labels := include "dit-serve.selectorLabels" $root | fromYaml -}}
{{- $_ := set $labels "app.kubernetes.io/component" .component -}}
metadata:
  labels:
    {{- merge $labels .pod.podLabels | toYaml | nindent 4 }}
  {{- with .pod.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "dit-serve.serviceAccountName" $root }}
  # Only the autoscaler, beside the head, asks the Kubernetes API.
  automountServiceAccountToken: {{ and (eq .component "head") $root.Values.autoscaling.enabled }}
  terminationGracePeriodSeconds: {{ add (int64 $root.Values.shutdown.longestJobSeconds) 120 }}
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with .pod.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with .pod.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    {{- toYaml $root.Values.podSecurityContext | nindent 4 }}
  {{- range $key := list "nodeSelector" "tolerations" "affinity" }}
  {{- with get $.pod $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with .pod.topologySpreadConstraints }}
  {{- $own := dict "labelSelector" (dict "matchLabels" $labels) }}
  topologySpreadConstraints:
    {{- range . }}
    - {{ merge (deepCopy .) $own | toYaml | nindent 6 | trim }}
    {{- end }}
  {{- end }}
  containers:
    - name: ray-{{ .component }}
      image: {{ include "dit-serve.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      securityContext:
        {{- include "dit-serve.securityContext" . | nindent 8 }}
      ports:
        {{- range $name, $port := .ports }}
        - name: {{ $name }}
          containerPort: {{ int64 $port }}
        {{- end }}
      env:
        {{- include "dit-serve.env" . | nindent 8 }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      {{- if and (eq .component "worker") $root.Values.shutdown.drain }}
      lifecycle:
        preStop:
          exec:
            command:
              - dit-serve
              - drain
              - --deadline-s
              - {{ int64 $root.Values.shutdown.longestJobSeconds | quote }}
              - --replace-s
              - {{ int64 $root.Values.shutdown.replaceSeconds | quote }}
      {{- end }}
      volumeMounts:
        {{- include "dit-serve.scratchMounts" $root | nindent 8 }}
        - name: scratch
          mountPath: {{ include "dit-serve.workFolder" $root }}/var
          subPath: var
        - name: shared-memory
          mountPath: /dev/shm
        {{- if .models }}
        - name: models
          mountPath: {{ $root.Values.modelCache.mountPath }}
          {{- if or $root.Values.modelCache.readOnly (eq .component "head") }}
          readOnly: true
          {{- end }}
        {{- end }}
        {{- if .results }}
        - name: results
          mountPath: {{ $root.Values.resultsVolume.mountPath }}
        {{- end }}
        {{- if .keys }}
        - name: api-keys
          mountPath: {{ include "dit-serve.keysFolder" $root }}
          readOnly: true
        {{- end }}
  volumes:
    - name: scratch
      emptyDir:
        sizeLimit: {{ $root.Values.scratch.sizeLimit }}
    - name: shared-memory
      emptyDir:
        medium: Memory
        sizeLimit: {{ .pod.sharedMemory }}
    {{- if .models }}
    - name: models
      {{- include "dit-serve.modelVolume" $root | nindent 6 }}
    {{- end }}
    {{- if .results }}
    - name: results
      persistentVolumeClaim:
        claimName: {{ default (printf "%s-results" (include "dit-serve.fullname" $root)) $root.Values.resultsVolume.existingClaim }}
    {{- end }}
    {{- if .keys }}
    - name: api-keys
      secret:
        secretName: {{ $root.Values.secrets.apiKeys.name }}
        defaultMode: 0440
        items:
          - key: {{ $root.Values.secrets.apiKeys.key }}
            path: keys.yaml
    {{- end }}
{{- end -}}

{{/* Where any container of the image writes. */}}
{{- define "dit-serve.scratchMounts" -}}
- name: scratch
  mountPath: /tmp
  subPath: tmp
- name: scratch
  mountPath: {{ include "dit-serve.home" . }}
  subPath: home
{{- end -}}

{{- define "dit-serve.modelVolume" -}}
{{- with .Values.modelCache -}}
{{- if eq .type "pvc" -}}
persistentVolumeClaim:
  claimName: {{ default (printf "%s-model-cache" (include "dit-serve.fullname" $)) .existingClaim }}
{{- else if eq .type "hostPath" -}}
hostPath:
  path: {{ .hostPath }}
  # It must be there: one that Kubernetes makes belongs to root, and pods could not write it.
  type: Directory
{{- else -}}
emptyDir:
  sizeLimit: {{ .size }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* RDMA pins memory, which asks for IPC_LOCK. */}}
{{- define "dit-serve.securityContext" -}}
{{- $context := deepCopy .root.Values.securityContext -}}
{{- if dig "rdma" "enabled" false .pod -}}
{{- $capabilities := default dict $context.capabilities -}}
{{- $_ := set $capabilities "add" (append (default list $capabilities.add) "IPC_LOCK" | uniq) -}}
{{- $_ := set $context "capabilities" $capabilities -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}
