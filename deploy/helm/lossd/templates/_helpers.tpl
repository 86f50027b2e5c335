{{- define "lossd.selector" -}}
app.kubernetes.io/name: lossd
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "lossd.labels" -}}
{{ include "lossd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "lossd.metadata" -}}
name: {{ .Release.Name }}
labels:
  {{- include "lossd.labels" . | nindent 2 }}
{{- end }}
{{- /* Kubernetes' gRPC probes speak no TLS. */}}
{{- define "lossd.ready" -}}
{{- if .Values.tlsSecret -}}
httpGet: {path: /readyz, port: metrics}
{{- else -}}
grpc: {port: 50051}
{{- end }}
{{- end }}
