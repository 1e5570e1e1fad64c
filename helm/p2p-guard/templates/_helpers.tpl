{{/* Names, labels, images: what every object shares. */}}

{{- define "p2p-guard.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "p2p-guard.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "p2p-guard.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "p2p-guard.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select a component's pods. Takes a dict of root and component. */}}
{{- define "p2p-guard.selector" -}}
app.kubernetes.io/name: {{ include "p2p-guard.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "p2p-guard.labels" -}}
{{ include "p2p-guard.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: p2p-guard
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Metadata of an object. Takes a dict of root, component, suffix, and perhaps labels and annotations. */}}
{{- define "p2p-guard.metadata" -}}
name: {{ include "p2p-guard.fullname" .root }}{{ with .suffix }}-{{ . }}{{ end }}
namespace: {{ .namespace | default .root.Release.Namespace }}
labels:
  {{- include "p2p-guard.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Registry, repository and digest or tag. Takes a dict of root, image, and the tag that stands in for an empty one. */}}
{{- define "p2p-guard.image" -}}
{{- $registry := .root.Values.global.imageRegistry | default .image.registry -}}
{{- $name := ternary (printf "%s/%s" $registry .image.repository) .image.repository (ne $registry "") -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.image.tag | default .tag) -}}
{{- end -}}
{{- end -}}

{{/* The guard's own image: with an engine in it for engine.mode child. */}}
{{- define "p2p-guard.guardImage" -}}
{{- $tag := ternary (printf "%s-vllm-cpu" .Chart.AppVersion) .Chart.AppVersion (eq .Values.engine.mode "child") -}}
{{- include "p2p-guard.image" (dict "root" . "image" .Values.guard.image "tag" $tag) -}}
{{- end -}}

{{/* An init or upload container's image: the guard's where none is named. Takes a dict of root and image. */}}
{{- define "p2p-guard.otherImage" -}}
{{- if .image.repository -}}
{{- if not (or .image.tag .image.digest) -}}
{{- fail (printf "image %s needs a tag or a digest" .image.repository) -}}
{{- end -}}
{{- include "p2p-guard.image" (dict "root" .root "image" .image "tag" "") -}}
{{- else -}}
{{- include "p2p-guard.guardImage" .root -}}
{{- end -}}
{{- end -}}

{{- define "p2p-guard.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "p2p-guard.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* The Secrets with keys: the user's, or those that this chart makes. */}}
{{- define "p2p-guard.apiKeysSecret" -}}
{{- .Values.auth.existingSecret | default (printf "%s-api-keys" (include "p2p-guard.fullname" .)) -}}
{{- end -}}

{{- define "p2p-guard.adminKeysSecret" -}}
{{- .Values.admin.existingSecret | default (printf "%s-admin-keys" (include "p2p-guard.fullname" .)) -}}
{{- end -}}

{{/* Where the prober and the tests ask: this release's guard, unless a URL is given. */}}
{{- define "p2p-guard.guardUrl" -}}
{{- .Values.prober.url | default (printf "http://%s:%v/v1" (include "p2p-guard.fullname" .) .Values.guard.service.port) -}}
{{- end -}}

{{/* The port that probes and scrapes use. */}}
{{- define "p2p-guard.healthPort" -}}
{{- ternary "metrics" "http" .Values.metrics.enabled -}}
{{- end -}}

{{/* Requests and limits: a guard with an engine in its container needs the memory of a model or two, one without needs little. */}}
{{- define "p2p-guard.guardResources" -}}
{{- if .Values.guard.resources -}}
{{- toYaml .Values.guard.resources -}}
{{- else if eq .Values.engine.mode "child" -}}
requests: {cpu: "2", memory: 6Gi}
limits: {memory: 12Gi}
{{- else -}}
requests: {cpu: 500m, memory: 512Mi}
limits: {memory: 1Gi}
{{- end -}}
{{- end -}}
