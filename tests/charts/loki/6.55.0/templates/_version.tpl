{{/* What is peculiar to this version. */}}
{{- define "loki.version" -}}
exporter: v0.15.4
sidecar: { registry: docker.io, repository: kiwigrid/k8s-sidecar, tag: 2.5.0 }
sidecarTmp: true
podSecurityContext: { fsGroupChangePolicy: OnRootMismatch }
globalImageRegistry: true
{{- end }}
