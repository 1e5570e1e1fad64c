{{/* vLLM beside the guard, on a socket. Takes a dict of root and native: whether Kubernetes knows sidecars that end last. */}}
{{- define "p2p-guard.engineContainer" -}}
{{- $sidecar := .root.Values.engine.sidecar -}}
- name: engine
  image: {{ include "p2p-guard.image" (dict "root" .root "image" $sidecar.image "tag" "") }}
  imagePullPolicy: {{ $sidecar.image.pullPolicy }}
  {{- if .native }}
  restartPolicy: Always
  {{- end }}
  command:
    {{- toYaml $sidecar.command | nindent 4 }}
  args:
    - --model
    - {{ .root.Values.model.mountPath }}/{{ .root.Values.model.name }}
    - --uds
    - /run/p2p-engine/engine.sock
    - --generation-config
    - vllm
    - --max-model-len
    - {{ $sidecar.maxModelLen | quote }}
    - --max-num-seqs
    - {{ $sidecar.maxNumSeqs | quote }}
    - --enable-lora
    - --max-lora-rank
    - {{ $sidecar.maxLoraRank | quote }}
    {{- with $sidecar.extraArgs }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  env:
    {{- include "p2p-guard.env" (dict "root" .root "cache" "/var/cache/p2p-engine") | nindent 4 }}
    - name: VLLM_NO_USAGE_STATS
      value: "1"
    - name: DO_NOT_TRACK
      value: "1"
    - name: HF_HUB_OFFLINE
      value: "1"
    # The guard loads adapters under their content names. Nobody else reaches the socket.
    - name: VLLM_ALLOW_RUNTIME_LORA_UPDATING
      value: "True"
    {{- with $sidecar.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- $check := list "python3" "-c" (include "p2p-guard.engineCheck" .) }}
  startupProbe:
    exec:
      command: {{ toJson $check }}
    periodSeconds: 10
    timeoutSeconds: 10
    failureThreshold: {{ div (add $sidecar.startupSeconds 9) 10 }}
  livenessProbe:
    exec:
      command: {{ toJson $check }}
    periodSeconds: 15
    timeoutSeconds: 10
    failureThreshold: 4
  {{- if not .native }}
  # An ordinary container gets SIGTERM together with the guard; it has to outlive the guard's streams.
  lifecycle:
    preStop:
      exec:
        command: [sleep, {{ add .root.Values.guard.preStopSeconds .root.Values.guard.graceSeconds 5 | quote }}]
  {{- end }}
  securityContext:
    {{- include "p2p-guard.containerSecurity" . | nindent 4 }}
  resources:
    {{- toYaml $sidecar.resources | nindent 4 }}
  volumeMounts:
    - name: engine-socket
      mountPath: /run/p2p-engine
    - name: model
      mountPath: {{ .root.Values.model.mountPath }}
      readOnly: true
    {{- with .root.Values.adapterStore }}
    {{- if or .existingClaim .volume .fetch.enabled }}
    - name: adapters
      mountPath: {{ .mountPath }}
      readOnly: true
    {{- end }}
    {{- end }}
    # Where the guard puts adapters that it fetched: at the same path here, to be read.
    - name: cache
      mountPath: /var/cache/p2p-guard
      readOnly: true
    - name: engine-cache
      mountPath: /var/cache/p2p-engine
    - name: engine-tmp
      mountPath: /tmp
    - name: shm
      mountPath: /dev/shm
    {{- with include "p2p-guard.caMount" .root }}{{ . | nindent 4 }}{{ end }}
{{- end -}}

{{/* Asks vLLM's health route over the socket, with nothing but Python. */}}
{{- define "p2p-guard.engineCheck" -}}
import http.client, socket; s = socket.socket(socket.AF_UNIX); s.settimeout(8); s.connect("/run/p2p-engine/engine.sock"); c = http.client.HTTPConnection("engine"); c.sock = s; c.request("GET", "/health"); raise SystemExit(c.getresponse().status != 200)
{{- end -}}
