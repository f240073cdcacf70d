{{- define "alloy.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "alloy.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "alloy.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end }}

{{- define "alloy.selector" -}}
app.kubernetes.io/name: {{ include "alloy.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* ":tag" or "@sha256:…"; takes (dict "image" MAP "tag" DEFAULT) */}}
{{- define "alloy.imageId" -}}
{{- if .image.digest }}@sha256:{{ trimPrefix "sha256:" .image.digest }}{{ else }}:{{ .image.tag | default .tag }}{{ end }}
{{- end }}

{{/* name, namespace and labels; takes (dict "root" $ "name" OTHER "component" "config" "labels" MAP "annotations" MAP "clusterWide" BOOL) */}}
{{- define "alloy.metadata" -}}
{{- $id := include "alloy.imageId" (dict "image" .root.Values.image "tag" .root.Chart.AppVersion) -}}
name: {{ .name | default (include "alloy.fullname" .root) }}
{{- if not .clusterWide }}
namespace: {{ include "alloy.namespace" .root }}
{{- end }}
labels:
  helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
  {{- include "alloy.selector" .root | nindent 2 }}
  app.kubernetes.io/version: {{ $id | trimPrefix "@sha256" | trimPrefix ":" | trunc 63 | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  app.kubernetes.io/part-of: alloy
  {{- with .component }}
  app.kubernetes.io/component: {{ . }}
  {{- end }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "alloy.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "alloy.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end }}

{{- define "alloy.configMapName" -}}
{{- .Values.alloy.configMap.name | default (include "alloy.fullname" .) -}}
{{- end }}

{{/* As in the real chart the configuration goes through tpl: a {{ }} in it is a template. */}}
{{- define "alloy.config" -}}
{{- $example := "logging {\n  level = \"info\"\n}\n\ndiscovery.kubernetes \"pods\" {\n  role = \"pod\"\n}" -}}
{{- tpl (.Values.alloy.configMap.content | default $example) . -}}
{{- end }}
