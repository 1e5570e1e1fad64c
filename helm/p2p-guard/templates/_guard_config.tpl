{{/* guard.yaml: what the chart decides, over what the user adds. */}}

{{- define "p2p-guard.guardConfig" -}}
{{- $values := .Values -}}
{{- $config := deepCopy $values.config -}}
{{- $_ := set $config "listen" "0.0.0.0:8000" -}}
{{- $_ := set $config "grace_s" (int $values.guard.graceSeconds) -}}
{{- $_ := set $config "cache" "/var/cache/p2p-guard" -}}
{{- $_ := set $config "base_model" (printf "%s/%s" $values.model.mountPath $values.model.name) -}}
{{- $_ := set $config "auth" (dict "keys_file" "/etc/p2p-guard-keys/api/keys") -}}
{{- if $values.auth.probes.existingSecret -}}
{{- $_ := set $config.auth "probe_keys_file" "/etc/p2p-guard-keys/probes/keys" -}}
{{- end -}}
{{- if $values.metrics.enabled -}}
{{- $_ := set $config "metrics" (dict "listen" (printf "0.0.0.0:%d" (int $values.metrics.port))) -}}
{{- end -}}
{{- if $values.admin.enabled -}}
{{- $_ := set $config "admin" (dict "listen" (printf "0.0.0.0:%d" (int $values.admin.port)) "keys_file" "/etc/p2p-guard-keys/admin/keys") -}}
{{- end -}}
{{- $_ := set $config "engine" (fromYaml (include "p2p-guard.engineConfig" .)) -}}
{{- $_ := set $config "adapters" (fromYamlArray (include "p2p-guard.adapters" .)) -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "p2p-guard.engineConfig" -}}
{{- $engine := deepCopy .Values.engine.settings -}}
{{- if eq .Values.engine.mode "sidecar" -}}
{{- $_ := set $engine "url" "unix:///run/p2p-engine/engine.sock" -}}
{{- else if eq .Values.engine.mode "remote" -}}
{{- if eq (len .Values.engine.remote.urls) 1 -}}
{{- $_ := set $engine "url" (first .Values.engine.remote.urls) -}}
{{- else -}}
{{- $_ := set $engine "urls" .Values.engine.remote.urls -}}
{{- end -}}
{{- if .Values.engine.remote.existingSecret -}}
{{- $_ := set $engine "api_key_env" "P2P_GUARD_ENGINE_KEY" -}}
{{- end -}}
{{- end -}}
{{- toYaml $engine -}}
{{- end -}}

{{/* Relative paths are below the adapter store. */}}
{{- define "p2p-guard.adapters" -}}
{{- $adapters := list -}}
{{- range .Values.adapters -}}
{{- $adapter := deepCopy . -}}
{{- if and .path (not (hasPrefix "/" .path)) -}}
{{- $_ := set $adapter "path" (printf "%s/%s" $.Values.adapterStore.mountPath .path) -}}
{{- end -}}
{{- $adapters = append $adapters $adapter -}}
{{- end -}}
{{- toYaml $adapters -}}
{{- end -}}

{{/* All but the adapters: a running guard takes those over, and for the rest its pods are rolled. */}}
{{- define "p2p-guard.staticConfig" -}}
{{- $config := fromYaml (include "p2p-guard.guardConfig" .) -}}
{{- omit $config "adapters" | toJson | sha256sum | trunc 16 -}}
{{- end -}}
