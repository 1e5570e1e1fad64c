{{/* Parts of a pod that every component shares. Pod Security `restricted` is written here and nowhere else. */}}

{{- define "p2p-guard.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Takes a dict of root, component and pod: a component's `pod` block. */}}
{{- define "p2p-guard.podMetadata" -}}
labels:
  # No version: a new chart that changes nothing in the pod restarts nothing.
  {{- include "p2p-guard.selector" . | nindent 2 }}
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .pod.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .pod.annotations .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "p2p-guard.podSpec" -}}
serviceAccountName: {{ include "p2p-guard.serviceAccountName" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
  fsGroupChangePolicy: OnRootMismatch
  {{- with .root.Values.securityContext }}
  {{- if not (kindIs "invalid" .runAsUser) }}
  runAsUser: {{ int64 .runAsUser }}
  {{- end }}
  {{- if not (kindIs "invalid" .runAsGroup) }}
  runAsGroup: {{ int64 .runAsGroup }}
  {{- end }}
  {{- if not (kindIs "invalid" .fsGroup) }}
  fsGroup: {{ int64 .fsGroup }}
  {{- end }}
  {{- with .supplementalGroups }}
  supplementalGroups: {{ toJson . }}
  {{- end }}
  {{- end }}
{{- with .pod.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .pod.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml .pod.topologySpreadConstraints | nindent 2 }}
{{- else if eq .component "guard" }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "p2p-guard.selector" . | nindent 8 }}
{{- end }}
{{- with .pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .pod.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .pod.schedulerName }}
schedulerName: {{ . }}
{{- end }}
{{- end -}}

{{/* Environment of every container: caches on writable volumes, proxy, CA. Takes a dict of root and cache, the cache's directory. */}}
{{- define "p2p-guard.env" -}}
- name: HOME
  value: /tmp
- name: TMPDIR
  value: /tmp
# An id that OpenShift draws has no name in the image.
- name: USER
  value: p2p-guard
{{- with .cache }}
- name: XDG_CACHE_HOME
  value: {{ . }}
- name: HF_HOME
  value: {{ . }}/huggingface
- name: VLLM_CACHE_ROOT
  value: {{ . }}/vllm
- name: TRITON_CACHE_DIR
  value: {{ . }}/triton
- name: TORCHINDUCTOR_CACHE_DIR
  value: {{ . }}/inductor
{{- end }}
{{- if or .root.Values.internalCA.configMap .root.Values.internalCA.secret }}
{{- range list "SSL_CERT_FILE" "REQUESTS_CA_BUNDLE" "AWS_CA_BUNDLE" "CURL_CA_BUNDLE" }}
- name: {{ . }}
  value: /etc/p2p-guard-ca/ca.crt
{{- end }}
{{- end }}
{{- with .root.Values.proxy }}
{{- if or .http .https }}
{{- $no := include "p2p-guard.noProxy" $.root }}
{{- with .http }}
- name: HTTP_PROXY
  value: {{ . | quote }}
- name: http_proxy
  value: {{ . | quote }}
{{- end }}
{{- with .https }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
- name: https_proxy
  value: {{ . | quote }}
{{- end }}
- name: NO_PROXY
  value: {{ $no | quote }}
- name: no_proxy
  value: {{ $no | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Never through a proxy: this machine, the cluster, the engines. A proxy must not see a stamped prompt. */}}
{{- define "p2p-guard.noProxy" -}}
{{- $hosts := list "localhost" "127.0.0.1" "::1" ".svc" ".cluster.local" (include "p2p-guard.fullname" .) -}}
{{- range .Values.engine.remote.urls -}}
{{- $hosts = append $hosts (regexReplaceAll ":[0-9]+$" (urlParse .).host "") -}}
{{- end -}}
{{- if .Values.prober.url -}}
{{- $hosts = append $hosts (regexReplaceAll ":[0-9]+$" (urlParse .Values.prober.url).host "") -}}
{{- end -}}
{{- concat $hosts .Values.proxy.noProxy | uniq | join "," -}}
{{- end -}}

{{- define "p2p-guard.caMount" -}}
{{- if or .Values.internalCA.configMap .Values.internalCA.secret -}}
- name: internal-ca
  mountPath: /etc/p2p-guard-ca
  readOnly: true
{{- end }}
{{- end -}}

{{- define "p2p-guard.caVolume" -}}
{{- with .Values.internalCA -}}
{{- if .configMap -}}
- name: internal-ca
  configMap:
    name: {{ .configMap }}
    items: [{key: {{ .key }}, path: ca.crt}]
{{- else if .secret -}}
- name: internal-ca
  secret:
    secretName: {{ .secret }}
    items: [{key: {{ .key }}, path: ca.crt}]
{{- end }}
{{- end }}
{{- end -}}

{{/* A volume from a claim, from any allowed source, or empty. Takes a dict of name, from, and sizeLimit. */}}
{{- define "p2p-guard.volume" -}}
- name: {{ .name }}
  {{- if .from.existingClaim }}
  persistentVolumeClaim:
    claimName: {{ .from.existingClaim }}
    {{- if .readOnly }}
    readOnly: true
    {{- end }}
  {{- else if .from.volume }}
  {{- toYaml .from.volume | nindent 2 }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .sizeLimit }}
  {{- end }}
{{- end -}}

{{/* An init container that fills a volume. Takes a dict of root, name, fetch, mountPath and volume. */}}
{{- define "p2p-guard.fetch" -}}
- name: {{ .name }}
  image: {{ include "p2p-guard.otherImage" (dict "root" .root "image" .fetch.image) }}
  imagePullPolicy: {{ .fetch.image.pullPolicy }}
  {{- with .fetch.command }}
  command:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .fetch.args }}
  args:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  env:
    {{- include "p2p-guard.env" (dict "root" .root) | nindent 4 }}
    {{- with .fetch.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .fetch.envFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "p2p-guard.containerSecurity" . | nindent 4 }}
  {{- with .fetch.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - name: {{ .volume }}
      mountPath: {{ .mountPath }}
    - name: tmp
      mountPath: /tmp
    {{- with include "p2p-guard.caMount" .root }}{{ . | nindent 4 }}{{ end }}
{{- end -}}
