{{- define "loki.name" -}}
{{- tpl (.Values.nameOverride | default "loki") . | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "loki.fullname" -}}
{{- $name := include "loki.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "loki.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end }}

{{- define "loki.selector" -}}
app.kubernetes.io/name: {{ include "loki.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "loki.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{ include "loki.selector" . }}
app.kubernetes.io/version: {{ .Values.loki.image.tag | default .Chart.AppVersion | quote }}
{{- end }}

{{/* name, namespace and labels of an object; takes (dict "root" $ "suffix" "-x" "component" "x" "labels" MAP "annotations" MAP) */}}
{{- define "loki.metadata" -}}
name: {{ include "loki.fullname" .root }}{{ .suffix }}
namespace: {{ include "loki.namespace" .root }}
labels:
  {{- include "loki.labels" .root | nindent 2 }}
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

{{- define "loki.serviceAccountName" -}}
{{- if .Values.serviceAccount.name }}{{ tpl .Values.serviceAccount.name . }}
{{- else if .Values.serviceAccount.create }}{{ include "loki.fullname" . }}
{{- else }}default{{ end }}
{{- end }}

{{/* takes (dict "root" $ "image" MAP "tag" DEFAULT) */}}
{{- define "loki.image" -}}
{{- $global := .root.Values.global -}}
{{- $registry := $global.imageRegistry | default $global.image.registry | default .image.registry -}}
{{- with $registry }}{{ . }}/{{ end }}{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .tag }}{{ end }}
{{- end }}

{{- define "loki.podSecurityContext" -}}
{{- $defaults := (include "loki.version" . | fromYaml).podSecurityContext -}}
{{- merge dict .Values.loki.podSecurityContext $defaults | toYaml -}}
{{- end }}

{{- define "loki.isSingleBinary" -}}
{{- if has .Values.deploymentMode (list "SingleBinary" "SingleBinary<->SimpleScalable") }}true{{ end -}}
{{- end }}

{{- define "loki.usesObjectStorage" -}}
{{- if ne .Values.loki.storage.type "filesystem" }}true{{ end -}}
{{- end }}

{{- define "loki.address" -}}
{{- printf "%s.%s.svc.%s" .host (include "loki.namespace" .root) .root.Values.global.clusterDomain -}}
{{- end }}

{{/* Named by the default of loki.commonConfig.compactor_grpc_address. */}}
{{- define "loki.compactorAddress" -}}
{{- $host := ternary (include "loki.fullname" .) (printf "%s-backend" (include "loki.name" .)) (eq (include "loki.isSingleBinary" .) "true") -}}
{{- include "loki.address" (dict "root" . "host" $host) }}:{{ .Values.loki.server.grpc_listen_port }}
{{- end }}

{{/* Scheduling of one component: nodeSelector and tolerations. */}}
{{- define "loki.scheduling" -}}
{{- range $key := list "nodeSelector" "tolerations" }}
{{- with get $ $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
