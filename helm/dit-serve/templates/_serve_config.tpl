{{/* What Ray Serve is told: the same file as for `serve run`, from models and settings. */}}

{{/* Environment variable that holds the job store's URL; the Serve config only names it. */}}
{{- define "dit-serve.databaseVariable" -}}
DIT_SERVE_DATABASE_URL
{{- end -}}

{{/* The args of the application, as JSON. */}}
{{- define "dit-serve.args" -}}
{{- $args := merge (dict "models" .Values.models) (deepCopy .Values.settings) -}}
{{- if .Values.secrets.database.name -}}
{{- $_ := set $args "database_url" (printf "env:%s" (include "dit-serve.databaseVariable" .)) -}}
{{- end -}}
{{- $url := include "dit-serve.resultsUrl" . -}}
{{- if $url -}}
{{- $_ := set $args "results" (merge (dict "url" $url) (default dict $args.results)) -}}
{{- end -}}
{{- if .Values.secrets.apiKeys.name -}}
{{- $_ := set $args "auth" (dict "keys_file" (printf "%s/keys.yaml" (include "dit-serve.keysFolder" .))) -}}
{{- end -}}
{{- toJson $args -}}
{{- end -}}

{{/* Where pods find the list of keys. The folder is the volume: a file mounted by itself would never change. */}}
{{- define "dit-serve.keysFolder" -}}
/etc/dit-serve/api-keys
{{- end -}}

{{/* "true" where callers need a key, else empty. */}}
{{- define "dit-serve.asksForKeys" -}}
{{- $auth := default dict .Values.settings.auth -}}
{{- if kindIs "map" $auth -}}
{{- if ne "none" (default "" $auth.keys) }}true{{ end -}}
{{- end -}}
{{- end -}}

{{/* Where results are kept; empty: the config's own default, a folder within the pod. */}}
{{- define "dit-serve.resultsUrl" -}}
{{- $url := dig "results" "url" "" .Values.settings -}}
{{- if $url -}}
{{- $url -}}
{{- else if eq .Values.resultsVolume.type "pvc" -}}
{{- .Values.resultsVolume.mountPath -}}
{{- end -}}
{{- end -}}

{{/* "true" where all pods see the same results, else empty. */}}
{{- define "dit-serve.resultsShared" -}}
{{- $url := include "dit-serve.resultsUrl" . -}}
{{- $place := trimSuffix "/" .Values.resultsVolume.mountPath -}}
{{- if regexMatch "^[a-z][a-z0-9+.-]*://" $url -}}
{{- if not (regexMatch "^(file|local)://" $url) }}true{{ end -}}
{{- else if eq .Values.resultsVolume.type "pvc" -}}
{{- if or (eq (trimSuffix "/" $url) $place) (hasPrefix (printf "%s/" $place) $url) }}true{{ end -}}
{{- end -}}
{{- end -}}

{{- define "dit-serve.serveConfig" -}}
proxy_location: EveryNode
http_options:
  host: 0.0.0.0
  port: 8000
applications:
  - name: dit-serve
    route_prefix: /
    import_path: deployments.app:build_app
    args:
      {{- include "dit-serve.args" . | fromJson | toYaml | nindent 6 }}
{{- end -}}
