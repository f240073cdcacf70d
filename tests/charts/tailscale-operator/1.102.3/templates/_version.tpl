{{/* What is peculiar to this version. */}}
{{- define "tailscale.version" -}}
workloadIdentity: true
crds:
- { kind: Connector, plural: connectors, shortNames: [cn] }
- { kind: DNSConfig, plural: dnsconfigs, shortNames: [dc] }
- { kind: PeerRelay, plural: peerrelays, shortNames: [pr] }
- { kind: ProxyClass, plural: proxyclasses }
- { kind: ProxyGroup, plural: proxygroups, shortNames: [pg] }
- { kind: ProxyGroupPolicy, plural: proxygrouppolicies, shortNames: [pgp], scope: Namespaced }
- { kind: Recorder, plural: recorders, shortNames: [rec] }
- { kind: Tailnet, plural: tailnets, shortNames: [tn] }
clusterRules:
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingadmissionpolicies, validatingadmissionpolicybindings]
  verbs: [list, create, delete, update, get, watch]
rules:
- { apiGroups: [""], resources: [serviceaccounts/token], resourceNames: [operator], verbs: [create] }
{{- end }}
