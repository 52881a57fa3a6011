{{/* Worker groups: those that are enabled, each with everything that it does not say itself. */}}

{{/* What a group does not say; the same as values.yaml says of the group cpu (helm/values_schema.py looks). */}}
{{- define "dit-serve.groupDefaults" -}}
enabled: true
minReplicas: 1
maxReplicas: 1
replicas: null
gpus: 0
gpuResource: nvidia.com/gpu
cpu: 4
memory: 12Gi
sharedMemory: 2Gi
nodeSelector: {}
tolerations: []
affinity: {}
topologySpreadConstraints: []
runtimeClassName: ""
priorityClassName: ""
idleTimeoutSeconds: null
nccl: {enabled: false, socketInterface: "", debug: ""}
rdma: {enabled: false, resource: rdma/hca, count: 1, hca: ""}
podLabels: {}
podAnnotations: {}
env: []
{{- end -}}

{{/* The enabled groups by name, as JSON. `pods` is how many a group has at most: maxReplicas if pods are added when
they are needed, else replicas. `keeps` is how many it never goes below. */}}
{{- define "dit-serve.groups" -}}
{{- $groups := dict -}}
{{- range $name, $given := .Values.workerGroups -}}
{{- $group := mustMergeOverwrite (include "dit-serve.groupDefaults" $ | fromYaml) (deepCopy $given) -}}
{{- if kindIs "invalid" $group.replicas -}}
{{- $_ := set $group "replicas" $group.minReplicas -}}
{{- end -}}
{{- $_ := set $group "pods" (ternary $group.maxReplicas $group.replicas $.Values.autoscaling.enabled) -}}
{{- $_ := set $group "keeps" (ternary $group.minReplicas $group.replicas $.Values.autoscaling.enabled) -}}
{{- if $group.enabled -}}
{{- $_ := set $groups $name $group -}}
{{- end -}}
{{- end -}}
{{- toJson $groups -}}
{{- end -}}

{{/* Bytes of a size such as 2Gi or 512Mi. */}}
{{- define "dit-serve.bytes" -}}
{{- $factor := get (dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776) (regexFind "[KMGT]i$" .) -}}
{{- floor (mulf (regexFind "^[0-9.]+" . | float64) $factor) | int64 -}}
{{- end -}}
