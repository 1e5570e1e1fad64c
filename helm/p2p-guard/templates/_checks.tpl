{{/* What no JSON Schema can say: refusals with a sentence on what to do. Included once, by the ConfigMap or its stand-in. */}}

{{- define "p2p-guard.checks" -}}
{{- if .Values.guard.enabled -}}
{{- include "p2p-guard.checkGuard" . -}}
{{- include "p2p-guard.checkEngine" . -}}
{{- include "p2p-guard.checkReach" . -}}
{{- end -}}
{{- include "p2p-guard.checkScaling" . -}}
{{- include "p2p-guard.checkProber" . -}}
{{- include "p2p-guard.checkTrainer" . -}}
{{- if and .Values.internalCA.configMap .Values.internalCA.secret -}}
{{- fail "internalCA: name a configMap or a secret, not both" -}}
{{- end -}}
{{- end -}}

{{- define "p2p-guard.checkGuard" -}}
{{- if not (or .Values.auth.existingSecret .Values.auth.keys) -}}
{{- fail "auth: the guard serves nobody without a key. Make a Secret and name it in auth.existingSecret (or list auth.keys to try things out)" -}}
{{- end -}}
{{- if and .Values.auth.existingSecret .Values.auth.keys -}}
{{- fail "auth: existingSecret and keys exclude each other" -}}
{{- end -}}
{{- if and .Values.admin.enabled (not (or .Values.admin.existingSecret .Values.admin.keys)) -}}
{{- fail "admin: the admin API needs keys of its own: admin.existingSecret (or admin.keys)" -}}
{{- end -}}
{{- if and .Values.admin.existingSecret .Values.admin.keys -}}
{{- fail "admin: existingSecret and keys exclude each other" -}}
{{- end -}}
{{- range .Values.admin.keys -}}
{{- if has . $.Values.auth.keys -}}
{{- fail "admin.keys: a user's key must not open the admin API" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.admin.existingSecret (eq .Values.admin.existingSecret .Values.auth.existingSecret) (eq .Values.admin.key .Values.auth.key) -}}
{{- fail "admin: the users' keys must not open the admin API; name another Secret or another key of it" -}}
{{- end -}}
{{- if and .Values.auth.probes.existingSecret (eq .Values.auth.probes.existingSecret .Values.auth.existingSecret) (eq .Values.auth.probes.key .Values.auth.key) -}}
{{- fail "auth.probes: a user's key must not pass for a prober's; name another Secret or another key of it" -}}
{{- end -}}
{{- if not .Values.model.name -}}
{{- fail "model.name: name the base model's directory below model.mountPath" -}}
{{- end -}}
{{- $places := compact (list .Values.model.existingClaim (ternary "volume" "" (ne (len .Values.model.volume) 0)) (ternary "fetch" "" .Values.model.fetch.enabled)) -}}
{{- if ne (len $places) 1 -}}
{{- fail "model: say where the base model comes from: exactly one of existingClaim, volume and fetch" -}}
{{- end -}}
{{- if not .Values.adapters -}}
{{- fail "adapters: name at least one adapter to serve" -}}
{{- end -}}
{{- include "p2p-guard.checkAdapters" . -}}
{{- $ports := list 8000 -}}
{{- if .Values.metrics.enabled -}}{{- $ports = append $ports (int .Values.metrics.port) -}}{{- end -}}
{{- if .Values.admin.enabled -}}{{- $ports = append $ports (int .Values.admin.port) -}}{{- end -}}
{{- if ne (len $ports) (len (uniq $ports)) -}}
{{- fail "admin.port and metrics.port must differ from each other and from 8000, the users' port" -}}
{{- end -}}
{{- end -}}

{{- define "p2p-guard.checkAdapters" -}}
{{- $store := .Values.adapterStore -}}
{{- $places := compact (list $store.existingClaim (ternary "volume" "" (ne (len $store.volume) 0)) (ternary "fetch" "" $store.fetch.enabled)) -}}
{{- if gt (len $places) 1 -}}
{{- fail "adapterStore: at most one of existingClaim, volume and fetch" -}}
{{- end -}}
{{- range .Values.adapters -}}
{{- if and .path (not (hasPrefix "/" .path)) (not $places) -}}
{{- fail (printf "adapters: %s has a path, so adapterStore needs existingClaim, volume or fetch (or give the adapter a source)" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "p2p-guard.checkEngine" -}}
{{- $remote := .Values.engine.remote -}}
{{- if eq .Values.engine.mode "remote" -}}
{{- if not $remote.urls -}}
{{- fail "engine.remote.urls: name the vLLM that runs already" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not $remote.podSelector) (not $remote.cidrs) -}}
{{- fail "engine.remote: whoever reaches the engine goes round the guard. Name its pods in podSelector, so that the chart closes them, or the CIDRs of an engine outside the cluster" -}}
{{- end -}}
{{- else if $remote.urls -}}
{{- fail (printf "engine.remote.urls is set, but engine.mode is %s" .Values.engine.mode) -}}
{{- end -}}
{{- if and (ne .Values.engine.mode "child") (or (hasKey .Values.engine.settings "url") (hasKey .Values.engine.settings "urls")) -}}
{{- fail "engine.settings: url and urls are the chart's; use engine.remote.urls" -}}
{{- end -}}
{{- end -}}

{{- define "p2p-guard.checkReach" -}}
{{- if .Values.ingress.enabled -}}
{{- if not .Values.ingress.hosts -}}
{{- fail "ingress.hosts: name at least one host" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs: name the Gateway" -}}
{{- end -}}
{{- $outside := or .Values.ingress.enabled .Values.httpRoute.enabled (ne .Values.guard.service.type "ClusterIP") -}}
{{- if and $outside .Values.networkPolicy.enabled (not .Values.networkPolicy.clients) -}}
{{- fail "networkPolicy.clients: traffic from outside would end at the NetworkPolicy; name the peers that let it in (the ingress controller's or gateway's pods, or CIDRs)" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled -}}
{{- fail "metrics: serviceMonitor and podMonitor would count every sample twice; enable one" -}}
{{- end -}}
{{- if and (or .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled) (not .Values.metrics.enabled) -}}
{{- fail "metrics.enabled: a monitor needs the metrics listener" -}}
{{- end -}}
{{- end -}}

{{- define "p2p-guard.checkScaling" -}}
{{- if and .Values.autoscaling.hpa.enabled .Values.autoscaling.keda.enabled -}}
{{- fail "autoscaling: hpa and keda would fight over the replicas; enable one" -}}
{{- end -}}
{{- with .Values.autoscaling.hpa -}}
{{- if and .enabled (kindIs "invalid" .requestsInFlight) (not .extraMetrics) -}}
{{- fail "autoscaling.hpa: no metric to scale on" -}}
{{- end -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail "autoscaling.hpa: minReplicas is above maxReplicas" -}}
{{- end -}}
{{- end -}}
{{- with .Values.autoscaling.keda -}}
{{- if and .enabled (not .prometheus) -}}
{{- fail "autoscaling.keda.prometheus: name the Prometheus to ask" -}}
{{- end -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail "autoscaling.keda: minReplicas is above maxReplicas" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "p2p-guard.checkProber" -}}
{{- if ne .Values.prober.mode "off" -}}
{{- if not .Values.prober.sets -}}
{{- fail "prober.sets: name at least one canary set" -}}
{{- end -}}
{{- if not .Values.prober.existingSecret -}}
{{- fail "prober.existingSecret: the prober asks the guard like any client and needs a key of its own" -}}
{{- end -}}
{{- if and (not .Values.guard.enabled) (not .Values.prober.url) -}}
{{- fail "prober.url: there is no guard in this release; name the one to probe" -}}
{{- end -}}
{{- end -}}
{{- range .Values.prober.sets -}}
{{- if not (or .canary .existingConfigMap) -}}
{{- fail (printf "prober.sets: %s needs a canary or an existingConfigMap" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "p2p-guard.checkTrainer" -}}
{{- with .Values.trainer -}}
{{- if .enabled -}}
{{- if not (or .config .existingConfigMap) -}}
{{- fail "trainer.config: say what to train (or name an existingConfigMap)" -}}
{{- end -}}
{{- if not (or .output.existingClaim .upload.enabled) -}}
{{- fail "trainer.output: the adapter would be lost with the pod; name a claim, or enable trainer.upload" -}}
{{- end -}}
{{- if and .upload.enabled (not .upload.image.repository) -}}
{{- fail "trainer.upload.image: name an image that can upload" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
