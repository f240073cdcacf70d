{{/* This version's row of versions.yaml: (list $ "images" "grafana"). */}}
{{- define "stack.row" -}}
{{- $value := (index . 0).Files.Get "versions.yaml" | fromYaml }}
{{- range rest . }}{{ $value = index $value . }}{{ end }}
{{- toJson $value }}
{{- end }}

{{- define "stack.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "stack.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name }}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- .Values.fullnameOverride | default $full | trunc 26 | trimSuffix "-" }}
{{- end }}

{{/* The name of an operator's resource: (list $ "prometheus"). */}}
{{- define "stack.resource" -}}
{{- $full := include "stack.fullname" (index . 0) }}
{{- (index . 0).Values.cleanPrometheusOperatorObjectNames | ternary $full (printf "%s-%s" $full (index . 1)) }}
{{- end }}

{{/* The name of what is a sub-chart in the real chart: (list $ "grafana"). */}}
{{- define "part.fullname" -}}
{{- $release := (index . 0).Release.Name }}
{{- $values := get (index . 0).Values (index . 1) }}
{{- $name := $values.nameOverride | default (index . 1) }}
{{- $full := contains $name $release | ternary $release (printf "%s-%s" $release $name) }}
{{- $values.fullnameOverride | default $full | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "stack.labels" -}}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.Version | quote }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
chart: {{ .Chart.Name }}-{{ .Chart.Version }}
release: {{ .Release.Name | quote }}
heritage: {{ .Release.Service | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "operator.labels" -}}
app: {{ include "stack.name" . }}-operator
app.kubernetes.io/name: {{ include "stack.name" . }}-prometheus-operator
app.kubernetes.io/component: prometheus-operator
{{ include "stack.labels" . }}
{{- end }}

{{/* What selects a part's pods: (list $ "grafana"). */}}
{{- define "part.selector" -}}
app.kubernetes.io/name: {{ (get (index . 0).Values (index . 1)).nameOverride | default (index . 1) | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
{{- end }}

{{- define "part.labels" -}}
{{- $row := include "stack.row" (list (index . 0) "labels" (index . 1)) | fromJsonArray }}
{{- include "part.selector" . }}
helm.sh/chart: {{ index $row 0 }}
app.kubernetes.io/version: {{ eq (index . 1) "grafana" | ternary (index . 0).Values.grafana.image.tag "" | default (index $row 1) | quote }}
{{- end }}

{{/* The exporters' labels: (list $ "kube-state-metrics"). */}}
{{- define "exporter.labels" -}}
{{ include "part.labels" . }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
app.kubernetes.io/component: metrics
app.kubernetes.io/part-of: {{ index . 1 }}
release: {{ (index . 0).Release.Name }}
{{- end }}

{{/* An image: (list $ "row of versions.yaml" .Values.…image). */}}
{{- define "stack.image" -}}
{{- $root := index . 0 }}{{- $image := index . 2 }}
{{- $row := include "stack.row" (list $root "images" (index . 1)) | fromJsonArray }}
{{- $registry := coalesce $root.Values.global.imageRegistry $image.registry (index $row 0) }}
{{- printf "%s/%s:%s" $registry ($image.repository | default (index $row 1)) (coalesce $image.tag (index $row 2) $root.Chart.AppVersion) }}
{{- if gt (len $row) 3 }}{{ index $row 3 }}{{ end }}
{{- with $image.sha | default $image.digest }}@sha256:{{ trimPrefix "sha256:" . }}{{ end }}
{{- end }}

{{/* Keys with a value, as they are: (list .Values.… "nodeSelector" "tolerations" …). */}}
{{- define "stack.pick" -}}
{{- $from := index . 0 }}{{- $picked := dict }}
{{- range $key := rest . }}
{{- with get $from $key }}{{- $_ := set $picked $key . }}{{- end }}
{{- end }}
{{- if $picked }}{{ toYaml $picked }}{{ end }}
{{- end }}

{{/* Keys with whatever they hold, false and 0 too. */}}
{{- define "stack.keep" -}}
{{- $from := index . 0 }}{{- $kept := dict }}
{{- range $key := rest . }}{{- $_ := set $kept $key (index $from $key) }}{{- end }}
{{- toYaml $kept }}
{{- end }}

{{- define "stack.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ kindIs "string" . | ternary . (get (kindIs "map" . | ternary . dict) "name") }}
{{- end }}
{{- end }}
{{- end }}

{{/* Keep pods of an operator's StatefulSet apart: (list spec "app" "label" "name"). */}}
{{- define "stack.affinity" -}}
{{- $spec := index . 0 }}
{{- $app := dict "key" "app.kubernetes.io/name" "operator" "In" "values" (list (index . 1)) }}
{{- $name := dict "key" (index . 2) "operator" "In" "values" (list (index . 3)) }}
{{- $term := dict "topologyKey" $spec.podAntiAffinityTopologyKey "labelSelector" (dict "matchExpressions" (list $app $name)) }}
{{- $affinity := deepCopy $spec.affinity }}
{{- if eq $spec.podAntiAffinity "hard" }}
{{- $_ := set $affinity "podAntiAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (list $term)) }}
{{- else if eq $spec.podAntiAffinity "soft" }}
{{- $_ := set $affinity "podAntiAffinity" (dict "preferredDuringSchedulingIgnoredDuringExecution" (list (dict "weight" 100 "podAffinityTerm" $term))) }}
{{- end }}
{{- if $affinity }}{{ dict "affinity" $affinity | toYaml }}{{ end }}
{{- end }}

{{- define "stack.confined" -}}
allowPrivilegeEscalation: false
capabilities: { drop: [ALL] }
{{- end }}

{{/* Gives a cluster role to an account: (list $ "binding" "role" "account" "labels"). */}}
{{- define "stack.clusterBinding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ index . 1 }}
  labels:
    {{- index . 4 | nindent 4 }}
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ index . 2 }} }
subjects:
- { kind: ServiceAccount, name: {{ index . 3 }}, namespace: {{ (index . 0).Release.Namespace }} }
{{- end }}
