{{- define "p2p-guard.dnsEgress" -}}
- to:
    {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end -}}

{{/* Egress of what asks the guard. Takes root. */}}
{{- define "p2p-guard.guardEgress" -}}
{{- if .Values.guard.enabled }}
- to:
    - podSelector:
        matchLabels:
          {{- include "p2p-guard.selector" (dict "root" . "component" "guard") | nindent 10 }}
  ports:
    - {protocol: TCP, port: 8000}
{{- end }}
{{- with .Values.prober.guardPeers }}
- to:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end -}}
