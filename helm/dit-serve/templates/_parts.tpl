{{/* What the pods of the head and of a worker group are made of: all but root of dit-serve.podTemplate, as JSON. */}}

{{/* Ports have the names by which KubeRay and the chart's services find them. The folders that a model's source may
name are read where the application is built, which can be on the head. */}}
{{- define "dit-serve.head" -}}
{{- $ports := dict "gcs-server" 6379 "dashboard" 8265 "client" 10001 "serve" 8000 "metrics" 8080 -}}
{{- $models := eq .Values.modelCache.type "pvc" -}}
{{- dict "component" "head" "pod" .Values.head "resources" .Values.head.resources "ports" $ports "models" $models "results" false "keys" false | toJson -}}
{{- end -}}

{{/* Takes root and group. */}}
{{- define "dit-serve.worker" -}}
{{- $group := .group -}}
{{- $amounts := dict "cpu" (int64 $group.cpu | toString) "memory" $group.memory -}}
{{- if $group.gpus -}}
{{- $_ := set $amounts $group.gpuResource (int64 $group.gpus | toString) -}}
{{- end -}}
{{- if $group.rdma.enabled -}}
{{- $_ := set $amounts $group.rdma.resource (int64 $group.rdma.count | toString) -}}
{{- end -}}
{{- $results := eq .root.Values.resultsVolume.type "pvc" -}}
{{- dict "component" "worker" "pod" $group "resources" (dict "requests" $amounts "limits" $amounts) "ports" (dict "serve" 8000 "metrics" 8080) "models" true "results" $results "keys" (ne .root.Values.secrets.apiKeys.name "") | toJson -}}
{{- end -}}

{{/* Half of the shared memory is Ray's object store. Left to itself Ray takes a share of all memory, and where that is
more than /dev/shm it goes to the disk. */}}
{{- define "dit-serve.objectStoreBytes" -}}
{{- div (include "dit-serve.bytes" . | int64) 2 -}}
{{- end -}}
