{{- define "loki.rulesSidecar" -}}
{{- $rules := .Values.sidecar.rules -}}
{{- $version := include "loki.version" . | fromYaml -}}
{{- $image := .Values.sidecar.image -}}
- name: loki-sc-rules
  image: {{ include "loki.image" (dict "root" . "image" (dict
    "registry" ($image.registry | default $version.sidecar.registry)
    "repository" ($image.repository | default $version.sidecar.repository)) "tag" ($image.tag | default $version.sidecar.tag)) }}
  imagePullPolicy: {{ $image.pullPolicy }}
  env:
  - { name: METHOD, value: {{ $rules.watchMethod }} }
  - { name: LABEL, value: {{ $rules.label | quote }} }
  {{- with $rules.labelValue }}
  - { name: LABEL_VALUE, value: {{ . | quote }} }
  {{- end }}
  - { name: FOLDER, value: {{ $rules.folder | quote }} }
  - { name: RESOURCE, value: {{ $rules.resource | quote }} }
  {{- with $rules.searchNamespace }}
  - { name: NAMESPACE, value: {{ join "," . | quote }} }
  {{- end }}
  - { name: WATCH_SERVER_TIMEOUT, value: "60" }
  - { name: WATCH_CLIENT_TIMEOUT, value: "60" }
  - { name: LOG_LEVEL, value: {{ $rules.logLevel }} }
  {{- with .Values.sidecar.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext: { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: { drop: [ALL] } }
  volumeMounts:
  {{- if $version.sidecarTmp }}
  - { name: tmp, mountPath: /tmp }
  {{- end }}
  - { name: sc-rules-volume, mountPath: {{ $rules.folder | quote }} }
{{- end }}
