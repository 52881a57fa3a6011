{{/* Whether the pools fit into the worker groups. The same sums as in placement/bundles.py: a replica of one rank is
one bundle; one of more ranks has a bundle for each, and 0.1 CPU for the process that only passes calls on. Amounts
are counted in ten-thousandths, as Ray does, so that they can be added without rounding. */}}

{{- define "dit-serve.units" -}}
{{- round (mulf . 10000) 0 | int64 -}}
{{- end -}}

{{/* "4 GPUs and 4.1 CPUs", "1 CPU". Takes gpus and cpus in units. */}}
{{- define "dit-serve.amounts" -}}
{{- $said := list -}}
{{- range $word := list "GPU" "CPU" -}}
{{- $units := get $ (printf "%ss" (lower $word)) | int64 -}}
{{- if or $units (eq $word "CPU") -}}
{{- $number := divf $units 10000 | toString -}}
{{- $said = append $said (printf "%s %s%s" $number $word (ternary "" "s" (eq $number "1"))) -}}
{{- end -}}
{{- end -}}
{{- join " and " $said -}}
{{- end -}}

{{/* The pools as a JSON list. `gpus` and `cpus`, in units, are what must be found in one pod, `pods` in how many pods
a replica lies, `replicas` how many replicas there are at least. `elsewhere` is the CPU of a spanning replica's own
process, which may lie in any pod. */}}
{{- define "dit-serve.pools" -}}
{{- $pools := list -}}
{{- range $i, $model := .Values.models -}}
{{- range $j, $pool := $model.pools -}}
{{- $ranks := int64 (default 1 $pool.num_ranks) -}}
{{- $together := min (int64 (default $ranks $pool.ranks_per_node)) $ranks -}}
{{- $gpus := ternary 0 1 (eq (default "cuda" $pool.device) "cpu") -}}
{{- if not (kindIs "invalid" $pool.gpus_per_rank) -}}
{{- $gpus = $pool.gpus_per_rank -}}
{{- end -}}
{{- $cpus := include "dit-serve.units" (default 1 $pool.cpus_per_rank) | int64 | mul $together -}}
{{- $process := ternary 1000 0 (gt $ranks 1) -}}
{{- $spans := lt $together $ranks -}}
{{- if not $spans -}}
{{- $cpus = add $cpus $process -}}
{{- end -}}
{{- if mod $ranks $together -}}
{{- fail (printf "models[%d].pools[%d].ranks_per_node: %d ranks do not divide by %d" $i $j $ranks $together) -}}
{{- end -}}
{{- $replicas := int64 (dig "autoscaling" "min_replicas" 1 $pool) -}}
{{- $needs := dict "gpus" (include "dit-serve.units" $gpus | int64 | mul $together) "cpus" $cpus "pods" (div $ranks $together) "elsewhere" (ternary $process 0 $spans) -}}
{{- $pools = append $pools (merge $needs (dict "where" (printf "models[%d].pools[%d] (%s/%s)" $i $j $model.name $pool.name) "replicas" $replicas)) -}}
{{- end -}}
{{- end -}}
{{- toJson $pools -}}
{{- end -}}

{{- define "dit-serve.checkCapacity" -}}
{{- $groups := include "dit-serve.groups" . | fromJson -}}
{{- $told := list -}}
{{- $there := dict "gpus" 0 "cpus" 0 -}}
{{- range $name, $group := $groups -}}
{{- $_ := set $group "gpuUnits" (include "dit-serve.units" $group.gpus | int64) -}}
{{- $_ := set $group "cpuUnits" (include "dit-serve.units" $group.cpu | int64) -}}
{{- $told = append $told (printf "%s: %d %s of %d GPUs and %d CPUs" $name (int64 $group.pods) (ternary "pod" "pods" (eq (int64 $group.pods) 1)) (int64 $group.gpus) (int64 $group.cpu)) -}}
{{- $_ := set $there "gpus" (add $there.gpus (mul $group.gpuUnits (int64 $group.pods))) -}}
{{- $_ := set $there "cpus" (add $there.cpus (mul $group.cpuUnits (int64 $group.pods))) -}}
{{- end -}}
{{- $control := add (int64 (default 1 .Values.settings.gateways)) (len .Values.models) -}}
{{- $asked := dict "gpus" 0 "cpus" (mul $control 500) -}}
{{- $count := ternary "maxReplicas" "replicas, as autoscaling is off" .Values.autoscaling.enabled -}}
{{- $pods := printf "the worker groups have (by %s) %s" $count (join "; " $told) -}}
{{- range $pool := include "dit-serve.pools" . | fromJsonArray -}}
{{- $shares := 0 -}}
{{- range $name, $group := $groups -}}
{{- if and (ge $group.gpuUnits (int64 $pool.gpus)) (ge $group.cpuUnits (int64 $pool.cpus)) -}}
{{- $fit := div $group.cpuUnits (int64 $pool.cpus) -}}
{{- if $pool.gpus -}}
{{- $fit = min $fit (div $group.gpuUnits (int64 $pool.gpus)) -}}
{{- end -}}
{{- $shares = add $shares (mul $fit (int64 $group.pods)) -}}
{{- end -}}
{{- end -}}
{{- $how := ternary (printf "%s in one pod (STRICT_PACK)" (include "dit-serve.amounts" $pool)) (printf "%s in each of %d pods (ranks_per_node)" (include "dit-serve.amounts" $pool) (int64 $pool.pods)) (eq (int64 $pool.pods) 1) -}}
{{- if lt $shares (int64 $pool.pods) -}}
{{- fail (printf "%s: a replica needs %s; %s" $pool.where $how $pods) -}}
{{- end -}}
{{- $room := div $shares (int64 $pool.pods) -}}
{{- if lt $room (int64 $pool.replicas) -}}
{{- fail (printf "%s: autoscaling.min_replicas is %d, and there is room for %d; a replica needs %s; %s" $pool.where (int64 $pool.replicas) $room $how $pods) -}}
{{- end -}}
{{- $all := mul (int64 $pool.replicas) (int64 $pool.pods) -}}
{{- $_ := set $asked "gpus" (add $asked.gpus (mul $all (int64 $pool.gpus))) -}}
{{- $_ := set $asked "cpus" (add $asked.cpus (mul $all (int64 $pool.cpus)) (mul (int64 $pool.replicas) (int64 $pool.elsewhere))) -}}
{{- end -}}
{{- if or (gt $asked.gpus $there.gpus) (gt $asked.cpus $there.cpus) -}}
{{- fail (printf "models: all pools at their min_replicas, with %d gateways and routers, need %s, and the pods have %s in all; %s" $control (include "dit-serve.amounts" $asked) (include "dit-serve.amounts" $there) $pods) -}}
{{- end -}}
{{- end -}}
