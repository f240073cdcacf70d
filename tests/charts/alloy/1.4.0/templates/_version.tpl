{{/* What is peculiar to this version. */}}
{{- define "alloy.version" -}}
configMapKey: config.alloy # whatever alloy.configMap.key says: the pod then looks for a file that is not there
reloader: { tag: v0.81.0, securityContext: {} }
nodeNames: [HOSTNAME]
rbac:
  operatorRules: []
  clusterRules:
  - { apiGroups: [""], resources: [nodes, nodes/proxy, nodes/metrics], verbs: [get, list, watch] }
{{- end }}
