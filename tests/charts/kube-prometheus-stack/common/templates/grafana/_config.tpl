{{/* One line of grafana.ini: (list $ "key" value). */}}
{{- define "grafana.line" -}}
{{- $value := index . 2 }}
{{- if kindIs "invalid" $value }}{{ index . 1 }} =
{{- else if kindIs "slice" $value }}{{ index . 1 }} = {{ toJson $value }}
{{- else if kindIs "string" $value }}{{ index . 1 }} = {{ tpl $value (index . 0) }}
{{- else }}{{ index . 1 }} = {{ $value }}
{{- end }}
{{- end }}

{{/* What is mounted from the ConfigMap; its hash is on the pod, so that a change rolls it. */}}
{{- define "grafana.config" -}}
{{- include "grafana.refuseSecrets" . }}
{{- $row := include "stack.row" (list . "grafana") | fromJson }}
{{- $sections := merge (deepCopy (index .Values.grafana "grafana.ini")) $row.ini }}
grafana.ini: |
  {{- range $key, $value := $sections }}
  {{- if not (kindIs "map" $value) }}
  {{ include "grafana.line" (list $ $key $value) }}
  {{- end }}
  {{- end }}
  {{- range $section, $lines := $sections }}
  {{- if kindIs "map" $lines }}
  [{{ $section }}]
  {{- range $key, $value := $lines }}
  {{ include "grafana.line" (list $ $key $value) }}
  {{- end }}
  {{- end }}
  {{- end }}
{{- range $file, $content := .Values.grafana.datasources }}
{{ $file }}: |
  {{- tpl (toYaml $content) $ | nindent 2 }}
{{- end }}
{{- end }}

{{- define "grafana.provider" -}}
{{- $dashboards := .Values.grafana.sidecar.dashboards }}
provider.yaml: |-
  apiVersion: 1
  providers:
  - name: sidecarProvider
    orgId: 1
    folder: ''
    type: file
    disableDeletion: false
    allowUiUpdates: false
    updateIntervalSeconds: 30
    options: { foldersFromFilesStructure: false, path: {{ $dashboards.folder }} }
{{- end }}

{{/* A ConfigMap is no place for a secret; a reference to one is no secret. */}}
{{- define "grafana.refuseSecrets" -}}
{{- if .Values.grafana.assertNoLeakedSecrets }}
{{- $ini := index .Values.grafana "grafana.ini" }}
{{- range $section, $keys := dict
  "database" (list "password") "smtp" (list "password") "security" (list "secret_key" "admin_password")
  "auth.basic" (list "password") "auth.ldap" (list "bind_password") "auth.google" (list "client_secret")
  "auth.github" (list "client_secret") "auth.gitlab" (list "client_secret") "auth.generic_oauth" (list "client_secret")
  "auth.okta" (list "client_secret") "auth.azuread" (list "client_secret") "auth.grafana_com" (list "client_secret")
  "auth.grafananet" (list "client_secret") "azure" (list "user_identity_client_secret")
  "unified_alerting" (list "ha_redis_password") "metrics" (list "basic_auth_password")
  "external_image_storage.s3" (list "secret_key") "external_image_storage.webdav" (list "password")
  "external_image_storage.azure_blob" (list "account_key")
}}
{{- range $key := $keys }}
{{- if hasKey (get $ini $section | default dict) $key }}
{{- if not (regexMatch "\\$(?:__(?:env|file|vault))?{[^}]+}" (get (get $ini $section) $key | toString)) }}
{{- fail (printf "Sensitive key '%s.%s' should not be defined explicitly in values. Use variable expansion instead." $section $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "grafana.adminSecret" -}}
{{- tpl .Values.grafana.admin.existingSecret . | default (include "part.fullname" (list . "grafana")) }}
{{- end }}

{{/* A variable from the admin's Secret: (list $ "VARIABLE" "key"). */}}
{{- define "grafana.adminVariable" -}}
- { name: {{ index . 1 }}, valueFrom: { secretKeyRef: { name: {{ include "grafana.adminSecret" (index . 0) }}, key: {{ index . 2 }} } } }
{{- end }}
