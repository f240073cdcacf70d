{{/* What is peculiar to this version. */}}
{{- define "alloy.version" -}}
configMapKey: {{ .Values.alloy.configMap.key | default "config.alloy" }}
reloader:
  tag: v0.91.0@sha256:7d9e4eea5f1139e602508871f422b0116c60e87c662f3dcd234d5ab60cd0d8c1
  pullPolicy: IfNotPresent
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: { drop: [ALL] }
    runAsNonRoot: true
    runAsUser: 65534
    runAsGroup: 65534
    seccompProfile: { type: RuntimeDefault }
nodeNames: [HOSTNAME, K8S_NODE_NAME]
rbac:
  operatorRules:
  - { apiGroups: [monitoring.coreos.com], resources: [alertmanagerconfigs], verbs: [get, list, watch] }
  clusterRules:
  - { apiGroups: [""], resources: [nodes], verbs: [get, list, watch] }
  - { apiGroups: [""], resources: [nodes/pods], verbs: [get, list, watch] }
  - { apiGroups: [""], resources: [nodes/metrics], verbs: [get, list, watch] }
{{- end }}
