{{- define "capwatch.name" -}}
{{- if contains "capwatch" .Release.Name -}}{{ .Release.Name | trunc 63 }}{{- else -}}{{ printf "%s-capwatch" .Release.Name | trunc 63 }}{{- end -}}
{{- end -}}
{{- define "capwatch.selector" -}}
app.kubernetes.io/name: capwatch
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
{{- define "capwatch.labels" -}}
{{ include "capwatch.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}
{{- define "capwatch.account" -}}
{{- if .Values.serviceAccount.name -}}{{ .Values.serviceAccount.name }}{{- else if .Values.serviceAccount.create -}}{{ include "capwatch.name" . }}{{- else -}}default{{- end -}}
{{- end -}}
{{- define "capwatch.apparmor" -}}
{{- if .Values.appArmor -}}{{ .Values.appArmor }}{{- else if semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version -}}field{{- else -}}annotation{{- end -}}
{{- end -}}
{{- define "capwatch.scheme" -}}
{{- if and .Values.webConfig.secretName .Values.webConfig.tls }}, scheme: HTTPS{{ end -}}
{{- end }}
