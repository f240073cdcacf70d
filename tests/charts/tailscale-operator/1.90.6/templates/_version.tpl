{{/* What is peculiar to this version. */}}
{{- define "tailscale.version" -}}
workloadIdentity: false
crds:
- { kind: Connector, plural: connectors, shortNames: [cn] }
- { kind: DNSConfig, plural: dnsconfigs, shortNames: [dc] }
- { kind: ProxyClass, plural: proxyclasses }
- { kind: ProxyGroup, plural: proxygroups, shortNames: [pg] }
- { kind: Recorder, plural: recorders, shortNames: [rec] }
clusterRules: []
rules: []
{{- end }}
