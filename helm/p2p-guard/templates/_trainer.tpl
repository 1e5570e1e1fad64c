{{- define "p2p-guard.trainContainer" -}}
{{- $trainer := .Values.trainer -}}
- name: train
  image: {{ include "p2p-guard.image" (dict "root" . "image" $trainer.image "tag" .Chart.AppVersion) }}
  imagePullPolicy: {{ $trainer.image.pullPolicy }}
  command: [p2p-guard]
  args:
    - train
    - /etc/p2p-guard-train/train.yaml
    # Begins where there is nothing to go on with, and goes on where a pod was taken away.
    - --resume
    {{- with $trainer.extraArgs }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  env:
    {{- include "p2p-guard.env" (dict "root" . "cache" "/var/cache/p2p-guard") | nindent 4 }}
    {{- with $trainer.pod.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $trainer.pod.extraEnvFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "p2p-guard.containerSecurity" . | nindent 4 }}
  resources:
    {{- toYaml $trainer.resources | nindent 4 }}
  volumeMounts:
    - name: config
      mountPath: /etc/p2p-guard-train
      readOnly: true
    {{- if or $trainer.data.existingClaim $trainer.data.volume }}
    - name: data
      mountPath: {{ $trainer.data.mountPath }}
      readOnly: true
    {{- end }}
    - name: output
      mountPath: {{ $trainer.output.mountPath }}
    - name: cache
      mountPath: /var/cache/p2p-guard
    - name: tmp
      mountPath: /tmp
    - name: shm
      mountPath: /dev/shm
    {{- with include "p2p-guard.caMount" . }}{{ . | nindent 4 }}{{ end }}
    {{- with $trainer.pod.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
