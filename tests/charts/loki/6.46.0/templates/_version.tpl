{{/* What is peculiar to this version. */}}
{{- define "loki.version" -}}
exporter: v0.15.3
sidecar: { registry: null, repository: docker.io/kiwigrid/k8s-sidecar, tag: 1.30.10 }
sidecarTmp: false
podSecurityContext: {}
globalImageRegistry: false # it is not looked at for the image of Loki itself
{{- end }}
