{{/* What cannot work is refused when the chart is rendered, in one sentence that names the value. Single values are
the schema's (values.schema.json); here is what must hold between them. */}}

{{- define "dit-serve.checks" -}}
{{- include "dit-serve.checkGroups" . -}}
{{- include "dit-serve.checkNames" . -}}
{{- include "dit-serve.checkEnv" . -}}
{{- include "dit-serve.checkResults" . -}}
{{- include "dit-serve.checkAuth" . -}}
{{- include "dit-serve.checkCluster" . -}}
{{- include "dit-serve.checkCapacity" . -}}
{{- end -}}

{{- define "dit-serve.checkGroups" -}}
{{- $kept := 0 -}}
{{- range $name, $group := include "dit-serve.groups" . | fromJson -}}
{{- $where := printf "workerGroups.%s" $name -}}
{{- if eq $name "headgroup" -}}
{{- fail (printf "%s: KubeRay calls the head's group so; take another name" $where) -}}
{{- end -}}
{{- if gt (int64 $group.minReplicas) (int64 $group.maxReplicas) -}}
{{- fail (printf "%s.minReplicas: %d is more than maxReplicas, %d" $where (int64 $group.minReplicas) (int64 $group.maxReplicas)) -}}
{{- end -}}
{{- if or (lt (int64 $group.replicas) (int64 $group.minReplicas)) (gt (int64 $group.replicas) (int64 $group.maxReplicas)) -}}
{{- fail (printf "%s.replicas: %d is not between minReplicas, %d, and maxReplicas, %d" $where (int64 $group.replicas) (int64 $group.minReplicas) (int64 $group.maxReplicas)) -}}
{{- end -}}
{{- if ge (include "dit-serve.bytes" $group.sharedMemory | int64) (include "dit-serve.bytes" $group.memory | int64) -}}
{{- fail (printf "%s.sharedMemory: %s counts as memory of the pod, which has %s; it must be less" $where $group.sharedMemory $group.memory) -}}
{{- end -}}
{{- $kept = add $kept (int64 $group.keeps) -}}
{{- end -}}
{{- if not $kept -}}
{{- fail "workerGroups: some enabled group must keep a pod (minReplicas of at least 1, and replicas without autoscaling), as routers and gateways run on workers" -}}
{{- end -}}
{{- end -}}

{{- define "dit-serve.checkNames" -}}
{{- $models := list -}}
{{- range $i, $model := .Values.models -}}
{{- if has $model.name $models -}}
{{- fail (printf "models[%d].name: two models are called %s" $i $model.name) -}}
{{- end -}}
{{- $models = append $models $model.name -}}
{{- $pools := list -}}
{{- range $j, $pool := $model.pools -}}
{{- if has $pool.name $pools -}}
{{- fail (printf "models[%d].pools[%d].name: two pools of %s are called %s" $i $j $model.name $pool.name) -}}
{{- end -}}
{{- $pools = append $pools $pool.name -}}
{{- end -}}
{{- $folder := hasPrefix (printf "%s/" (trimSuffix "/" $.Values.modelCache.mountPath)) $model.source -}}
{{- if and $folder (eq $.Values.modelCache.type "hostPath") (not $model.pipeline) -}}
{{- fail (printf "models[%d].pipeline: give the pipeline's class, as the head, which has no folder %s, may be the one to look" $i $model.source) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Variables that users add: none of the chart's own, none twice, no secrets in plain text. */}}
{{- define "dit-serve.checkEnv" -}}
{{- include "dit-serve.checkEnvOf" (dict "root" . "where" "head.env" "env" .Values.head.env "parts" (include "dit-serve.head" . | fromJson)) -}}
{{- range $name, $group := include "dit-serve.groups" . | fromJson -}}
{{- $parts := include "dit-serve.worker" (dict "root" $ "group" $group) | fromJson -}}
{{- include "dit-serve.checkEnvOf" (dict "root" $ "where" (printf "workerGroups.%s.env" $name) "env" $group.env "parts" $parts) -}}
{{- end -}}
{{- end -}}

{{- define "dit-serve.checkEnvOf" -}}
{{- $own := set (deepCopy .parts) "pod" (set (deepCopy .parts.pod) "env" list) -}}
{{- $names := include "dit-serve.envNames" (merge (dict "root" .root) $own) | fromJsonArray -}}
{{- $where := .where -}}
{{- range $i, $variable := .env -}}
{{- if has $variable.name $names -}}
{{- fail (printf "%s[%d]: %s is set already" $where $i $variable.name) -}}
{{- end -}}
{{- if and (hasKey $variable "value") (regexMatch "(?i)(token|password|secret|credential|_key($|_)|^key$|apikey)" $variable.name) -}}
{{- fail (printf "%s[%d]: %s looks like a secret; refer to one with valueFrom.secretKeyRef, as a value here can be read by all who may read the RayService" $where $i $variable.name) -}}
{{- end -}}
{{- $names = append $names $variable.name -}}
{{- end -}}
{{- end -}}

{{/* Who needs results, or jobs, that all pods see. */}}
{{- define "dit-serve.checkResults" -}}
{{- if hasKey .Values.settings "database_url" -}}
{{- fail "settings.database_url: would stand in plain text in the RayService; put it into a secret, and give secrets.database.name and key" -}}
{{- end -}}
{{- $shared := include "dit-serve.resultsShared" . -}}
{{- $how := "resultsVolume.type: pvc, or settings.results.url such as s3://bucket/prefix" -}}
{{- range $i, $model := .Values.models -}}
{{- if $model.default_frames -}}
{{- if not $.Values.secrets.database.name -}}
{{- fail (printf "models[%d] (%s) makes videos, whose jobs outlive pods: give secrets.database.name, a secret with the job store's URL" $i $model.name) -}}
{{- end -}}
{{- if not $shared -}}
{{- fail (printf "models[%d] (%s) makes videos, which outlive pods: they need a place that all pods share (%s)" $i $model.name $how) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (gt (int64 (default 1 .Values.settings.gateways)) 1) (not $shared) -}}
{{- fail (printf "settings.gateways: %d gateways need a place for results that all pods share (%s)" (int64 .Values.settings.gateways) $how) -}}
{{- end -}}
{{- $url := include "dit-serve.resultsUrl" . -}}
{{- if regexMatch "^[^/]*://[^/@]*:[^/@]*@" $url -}}
{{- fail "settings.results.url: a password does not belong there; give secrets.s3.name, or a role to the service account" -}}
{{- end -}}
{{- if and .Values.securityContext.readOnlyRootFilesystem $url (not $shared) (not (regexMatch "^(var|/tmp)/" $url)) -}}
{{- fail (printf "settings.results.url: pods cannot write %s; take a URL such as s3://bucket/prefix, or resultsVolume.type: pvc and a folder within resultsVolume.mountPath" $url) -}}
{{- end -}}
{{- end -}}

{{/* Who may call is said, and whoever has to call is given a key. */}}
{{- define "dit-serve.checkAuth" -}}
{{- $auth := .Values.settings.auth -}}
{{- if .Values.secrets.apiKeys.name -}}
{{- if $auth -}}
{{- fail "settings.auth: keys come from secrets.apiKeys.name; give one of the two" -}}
{{- end -}}
{{- else if not $auth -}}
{{- fail "secrets.apiKeys.name: is empty, so nobody could call; give it, or say settings.auth: {keys: database}, or {keys: none, open_to_network: true} for all who reach the pods" -}}
{{- else if kindIs "string" $auth -}}
{{- fail (printf "settings.auth: with %s a gateway answers only within its own pod; say {keys: none, open_to_network: true} for all who reach the pods" $auth) -}}
{{- else if $auth.keys_file -}}
{{- fail "settings.auth.keys_file: is no file of the pods; put the list of keys into a secret, and give secrets.apiKeys.name and key" -}}
{{- else if and (eq "none" (default "" $auth.keys)) (not $auth.open_to_network) -}}
{{- fail "settings.auth: without open_to_network: true a gateway answers only within its own pod" -}}
{{- else if and (ne "none" (default "" $auth.keys)) (not .Values.secrets.database.name) -}}
{{- fail "settings.auth: keys from the database need secrets.database.name, a secret with its URL" -}}
{{- end -}}
{{- $monitor := .Values.monitoring.serviceMonitor -}}
{{- if and $monitor.enabled (include "dit-serve.asksForKeys" .) (not $monitor.keySecret.name) -}}
{{- fail "monitoring.serviceMonitor.keySecret.name: is empty, and the gateways tell Prometheus nothing without a key of the scope metrics" -}}
{{- end -}}
{{- end -}}

{{- define "dit-serve.checkCluster" -}}
{{- if eq .Values.image.tag "latest" -}}
{{- fail "image.tag: latest may be another image on each node and day; take one that stays" -}}
{{- end -}}
{{- if and (eq .Values.auth.mode "token") (not (semverCompare ">=2.52.0-0" .Values.rayVersion)) -}}
{{- fail (printf "auth.mode: token needs Ray 2.52 or later, and rayVersion is %s" .Values.rayVersion) -}}
{{- end -}}
{{- with .Values.gcsFaultTolerance -}}
{{- if and .enabled (not .redisAddress) -}}
{{- fail "gcsFaultTolerance.redisAddress: is empty, and gcsFaultTolerance.enabled needs it, as host:port" -}}
{{- end -}}
{{- end -}}
{{- with .Values.upgrade -}}
{{- if eq .strategy "NewClusterWithIncrementalUpgrade" -}}
{{- if not $.Values.autoscaling.enabled -}}
{{- fail "upgrade.strategy: NewClusterWithIncrementalUpgrade needs autoscaling.enabled" -}}
{{- end -}}
{{- if not .gatewayClassName -}}
{{- fail "upgrade.gatewayClassName: is empty, and NewClusterWithIncrementalUpgrade needs it" -}}
{{- end -}}
{{- if gt (int64 .stepSizePercent) (int64 .maxSurgePercent) -}}
{{- fail (printf "upgrade.stepSizePercent: %d is more than maxSurgePercent, %d" (int64 .stepSizePercent) (int64 .maxSurgePercent)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
