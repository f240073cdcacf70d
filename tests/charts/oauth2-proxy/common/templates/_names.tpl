{{- define "oauth2-proxy.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "oauth2-proxy.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "oauth2-proxy.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end }}

{{- define "oauth2-proxy.selector" -}}
app.kubernetes.io/name: {{ include "oauth2-proxy.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "oauth2-proxy.labels" -}}
app: {{ include "oauth2-proxy.name" . }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/component: authentication-proxy
app.kubernetes.io/part-of: {{ include "oauth2-proxy.name" . }}
{{ include "oauth2-proxy.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Values.customLabels }}
{{ tpl (toYaml .) $ }}
{{- end }}
{{- end }}

{{/* name, namespace, labels and annotations; takes (dict "root" $ "name" OTHER "labels" MAP "annotations" MAP) */}}
{{- define "oauth2-proxy.metadata" -}}
name: {{ .name | default (include "oauth2-proxy.fullname" .root) }}
namespace: {{ include "oauth2-proxy.namespace" .root }}
labels:
  {{- include "oauth2-proxy.labels" .root | nindent 2 }}
  {{- with .labels }}
  {{- tpl (toYaml .) $.root | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- tpl (toYaml .) $.root | nindent 2 }}
{{- end }}
{{- end }}

{{- define "oauth2-proxy.secretName" -}}
{{- tpl (.Values.config.existingSecret | default (include "oauth2-proxy.fullname" .)) . -}}
{{- end }}

{{- define "oauth2-proxy.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "oauth2-proxy.fullname" .) "default" .Values.serviceAccount.enabled) -}}
{{- end }}

{{/* existing | own | none: the configuration file that the pod mounts */}}
{{- define "oauth2-proxy.configSource" -}}
{{- if .Values.config.existingConfig }}existing
{{- else if or .Values.config.configFile .Values.config.forceLegacyConfig }}own
{{- else }}none
{{- end }}
{{- end }}

{{- define "oauth2-proxy.configText" -}}
{{- if .Values.config.configFile -}}
{{- tpl .Values.config.configFile . -}}
{{- else -}}
email_domains = {{ toJson .Values.config.emailDomains }}
upstreams = {{ toJson .Values.config.upstreams }}
{{- end -}}
{{- end }}

{{/* The chart's own secret, also the source of checksum/secret: an existing Secret does not reach that checksum. */}}
{{- define "oauth2-proxy.secretData" -}}
{{- range $key, $value := dict "client-id" "clientID" "client-secret" "clientSecret" "cookie-secret" "cookieSecret" -}}
{{- if has $key $.Values.config.requiredSecretKeys }}
{{ $key }}: {{ tpl (get $.Values.config $value) $ | b64enc | quote }}
{{- end }}
{{- end }}
{{- end }}
