{{/* One probing container. Takes a dict of root, set and loop: whether it repeats and exports metrics. */}}
{{- define "p2p-guard.proberContainer" -}}
{{- $prober := .root.Values.prober -}}
- name: prober
  image: {{ include "p2p-guard.image" (dict "root" .root "image" $prober.image "tag" .root.Chart.AppVersion) }}
  imagePullPolicy: {{ $prober.image.pullPolicy }}
  command: [p2p-guard]
  args:
    - probe
    - /etc/p2p-guard-canary/canary.yaml
    - --model
    - {{ .set.model | quote }}
    - --url
    - {{ include "p2p-guard.guardUrl" .root | quote }}
    - --api-key-env
    - P2P_GUARD_API_KEY
    - --concurrency
    - {{ $prober.concurrency | quote }}
    {{- if .loop }}
    - --interval
    - {{ $prober.intervalSeconds | quote }}
    - --metrics-port
    - {{ $prober.metricsPort | quote }}
    {{- end }}
    {{- with $prober.extraArgs }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  env:
    {{- include "p2p-guard.env" (dict "root" .root) | nindent 4 }}
    - name: P2P_GUARD_API_KEY
      valueFrom:
        secretKeyRef:
          name: {{ $prober.existingSecret }}
          key: {{ $prober.key }}
    {{- with $prober.pod.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $prober.pod.extraEnvFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .loop }}
  ports:
    - name: metrics
      containerPort: {{ $prober.metricsPort }}
  livenessProbe:
    httpGet: {path: /metrics, port: metrics}
    initialDelaySeconds: 30
    periodSeconds: 30
    timeoutSeconds: 5
  {{- end }}
  securityContext:
    {{- include "p2p-guard.containerSecurity" . | nindent 4 }}
  resources:
    {{- toYaml $prober.resources | nindent 4 }}
  volumeMounts:
    - name: canary
      mountPath: /etc/p2p-guard-canary
      readOnly: true
    - name: tmp
      mountPath: /tmp
    {{- with include "p2p-guard.caMount" .root }}{{ . | nindent 4 }}{{ end }}
    {{- with $prober.pod.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "p2p-guard.proberVolumes" -}}
- name: canary
  configMap:
    name: {{ .set.existingConfigMap | default (printf "%s-canary-%s" (include "p2p-guard.fullname" .root) .set.name) }}
    items: [{key: {{ .set.key | default "canary.yaml" }}, path: canary.yaml}]
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- with include "p2p-guard.caVolume" .root }}{{ . | nindent 0 }}{{ end }}
{{- with .root.Values.prober.pod.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
