{{/* Not on nodes without a kubelet of their own. */}}
{{- define "exporter.realNodes" -}}
nodeAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms:
    - matchExpressions:
      - { key: eks.amazonaws.com/compute-type, operator: NotIn, values: [fargate] }
      - { key: type, operator: NotIn, values: [virtual-kubelet] }
{{- end }}

{{/* An exporter's Service, account and ServiceMonitor: (list $ "part" "port name" port "target port" "job label" extra labels). */}}
{{- define "exporter.objects" -}}
{{- $root := index . 0 }}{{- $part := index . 1 }}{{- $port := index . 2 }}
{{- $name := include "part.fullname" (list $root $part) }}
{{- $labels := include "exporter.labels" (list $root $part) }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
automountServiceAccountToken: {{ eq $part "kube-state-metrics" }}
{{- include "stack.pullSecrets" $root }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
    {{- with index . 6 }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- if eq $part "prometheus-node-exporter" }}
  annotations: { prometheus.io/scrape: "true" }
  {{- end }}
spec:
  type: ClusterIP
  ports:
  - { name: {{ $port }}, port: {{ index . 3 }}, targetPort: {{ index . 4 }}, protocol: TCP }
  selector:
    {{- include "part.selector" (list $root $part) | nindent 4 }}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
spec:
  jobLabel: {{ index . 5 }}
  selector:
    matchLabels:
      {{- include "part.selector" (list $root $part) | nindent 6 }}
  {{- if eq $part "prometheus-node-exporter" }}
  attachMetadata: { node: false }
  endpoints:
  - { port: {{ $port }}, scheme: http }
  {{- else }}
  endpoints:
  - { port: {{ $port }}, honorLabels: true }
  {{- end }}
{{- end }}
