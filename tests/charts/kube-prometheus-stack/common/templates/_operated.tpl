{{/* The version in the operator's resource: (list $ "prometheus" spec). */}}
{{- define "stack.version" -}}
{{- $spec := index . 2 }}
{{- $row := include "stack.row" (list (index . 0) "images" (index . 1)) | fromJsonArray }}
{{- coalesce $spec.version $spec.image.tag (index $row 2) }}
{{- end }}

{{/*
The objects of an operator's resource: ServiceAccount, Service, ServiceMonitor.
(list $ "prometheus" values "a label that the operator gives its pods" "name of the port")
*/}}
{{- define "stack.operated" -}}
{{- $root := index . 0 }}{{- $kind := index . 1 }}{{- $values := index . 2 }}{{- $port := index . 4 }}
{{- $name := printf "%s-%s" (include "stack.fullname" $root) $kind }}
{{- $app := printf "%s-%s" (include "stack.name" $root) $kind }}
{{- $monitored := $values.serviceMonitor.selfMonitor }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    app: {{ $app }}
    app.kubernetes.io/name: {{ $app }}
    app.kubernetes.io/component: {{ $kind }}
    {{- include "stack.labels" $root | nindent 4 }}
automountServiceAccountToken: true
{{- include "stack.pullSecrets" $root }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    app: {{ $app }}
    self-monitor: {{ $monitored | quote }}
    {{- include "stack.labels" $root | nindent 4 }}
    {{- with $values.service.labels }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with $values.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: ClusterIP
  sessionAffinity: None
  {{- if eq $kind "prometheus" }}
  publishNotReadyAddresses: false
  {{- end }}
  ports:
  - { name: {{ $port }}, port: {{ $values.service.port }}, targetPort: {{ eq $kind "prometheus" | ternary 9090 9093 }} }
  - { name: reloader-web, port: 8080, targetPort: reloader-web, appProtocol: http }
  selector:
    app.kubernetes.io/name: {{ $kind }}
    {{- toYaml (index . 3) | nindent 4 }}
{{- if $monitored }}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    app: {{ $app }}
    {{- include "stack.labels" $root | nindent 4 }}
spec:
  selector:
    matchLabels: { app: {{ $app }}, release: {{ $root.Release.Name | quote }}, self-monitor: "true" }
  namespaceSelector: { matchNames: [{{ $root.Release.Namespace }}] }
  endpoints:
  {{- range list $port "reloader-web" }}
  - port: {{ . }}
    path: /metrics
    {{- if and (eq $kind "alertmanager") (eq . $port) }}
    enableHttp2: true
    {{- end }}
    {{- include "stack.pick" (list $values.serviceMonitor "interval") | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
