{{/* A sidecar that brings ConfigMaps to Grafana: (list $ "dashboard" values "folder" "what is reloaded"). */}}
{{- define "grafana.sidecar" -}}
{{- $root := index . 0 }}{{- $values := index . 2 }}
{{- $sidecar := $root.Values.grafana.sidecar }}
- name: grafana-sc-{{ index . 1 }}
  image: {{ include "stack.image" (list $root "sidecar" $sidecar.image) | quote }}
  imagePullPolicy: {{ $sidecar.imagePullPolicy }}
  env:
  - { name: METHOD, value: WATCH }
  - { name: LABEL, value: {{ $values.label | quote }} }
  - { name: LABEL_VALUE, value: {{ $values.labelValue | quote }} }
  - { name: FOLDER, value: {{ index . 3 }} }
  - { name: RESOURCE, value: {{ $values.resource }} }
  {{- with $values.searchNamespace }}
  - { name: NAMESPACE, value: {{ kindIs "slice" . | ternary (join "," .) . | quote }} }
  {{- end }}
  {{ include "grafana.adminVariable" (list $root "REQ_USERNAME" $root.Values.grafana.admin.userKey) }}
  {{ include "grafana.adminVariable" (list $root "REQ_PASSWORD" $root.Values.grafana.admin.passwordKey) }}
  - { name: REQ_URL, value: "http://localhost:3000/api/admin/provisioning/{{ index . 4 }}/reload" }
  - { name: REQ_METHOD, value: POST }
  {{- if not (include "stack.row" (list $root "grafana") | fromJson).sidecarReloadsAtStart }}
  - { name: REQ_SKIP_INIT, value: "true" }
  {{- end }}
  {{- include "stack.pick" (list $sidecar "resources") | nindent 2 }}
  securityContext:
    seccompProfile: { type: RuntimeDefault }
    {{- include "stack.confined" $root | nindent 4 }}
  volumeMounts:
  - { name: sc-{{ index . 1 }}-volume, mountPath: {{ index . 3 }} }
{{- end }}

{{- define "grafana.pod" -}}
{{- $values := .Values.grafana }}
{{- $name := include "part.fullname" (list . "grafana") }}
{{- $row := include "stack.row" (list . "grafana") | fromJson }}
{{- $dashboards := $values.sidecar.dashboards }}
{{- $sources := $values.sidecar.datasources }}
serviceAccountName: {{ $name }}
automountServiceAccountToken: true
shareProcessNamespace: false
enableServiceLinks: true
{{- include "stack.pullSecrets" . }}
{{ include "stack.pick" (list $values "securityContext" "nodeSelector" "tolerations" "affinity" "priorityClassName") }}
{{- if and $values.persistence.enabled $values.initChownData.enabled }}
initContainers:
- name: init-chown-data
  image: {{ include "stack.image" (list . "chown" $values.initChownData.image) | quote }}
  imagePullPolicy: {{ $values.initChownData.image.pullPolicy }}
  command: [chown, -R, "{{ $values.securityContext.runAsUser }}:{{ $values.securityContext.runAsGroup }}", /var/lib/grafana]
  {{- include "stack.pick" (list $values.initChownData "resources") | nindent 2 }}
  securityContext:
    readOnlyRootFilesystem: false
    runAsNonRoot: false
    runAsUser: 0
    seccompProfile: { type: RuntimeDefault }
    capabilities: { add: {{ toJson $row.chownAdds }}, drop: [ALL] }
  volumeMounts:
  - { name: storage, mountPath: /var/lib/grafana }
{{- end }}
containers:
{{- if $dashboards.enabled }}
{{ include "grafana.sidecar" (list . "dashboard" $dashboards $dashboards.folder "dashboards") }}
{{- end }}
{{- if $sources.enabled }}
{{ include "grafana.sidecar" (list . "datasources" $sources "/etc/grafana/provisioning/datasources" "datasources") }}
{{- end }}
- name: grafana
  image: {{ include "stack.image" (list . "grafana" $values.image) | quote }}
  imagePullPolicy: {{ $values.image.pullPolicy }}
  securityContext:
    seccompProfile: { type: RuntimeDefault }
    {{- include "stack.confined" . | nindent 4 }}
  ports:
  - { name: grafana, containerPort: {{ $values.service.targetPort }}, protocol: TCP }
  - { name: gossip-tcp, containerPort: 9094, protocol: TCP }
  - { name: gossip-udp, containerPort: 9094, protocol: UDP }
  - { name: profiling, containerPort: 6060, protocol: TCP }
  env:
  - { name: POD_IP, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
  {{ include "grafana.adminVariable" (list . "GF_SECURITY_ADMIN_USER" $values.admin.userKey) }}
  {{ include "grafana.adminVariable" (list . "GF_SECURITY_ADMIN_PASSWORD" $values.admin.passwordKey) }}
  {{- range $key := list "data" "logs" "plugins" "provisioning" }}
  - { name: GF_PATHS_{{ upper $key }}, value: {{ get (index $values "grafana.ini").paths $key }} }
  {{- end }}
  {{- if $row.searchIndex }}
  - { name: GF_UNIFIED_STORAGE_INDEX_PATH, value: /var/lib/grafana-search/bleve }
  {{- end }}
  {{- if dig "limits" "memory" "" $values.resources }}
  - { name: GOMEMLIMIT, valueFrom: { resourceFieldRef: { divisor: "1", resource: limits.memory } } }
  {{- end }}
  {{- range $key, $from := $values.envValueFrom }}
  - { name: {{ $key }}, valueFrom: {{ tpl (toJson $from) $ }} }
  {{- end }}
  {{- range $key, $value := $values.env }}
  - { name: {{ $key }}, value: {{ tpl (toString $value) $ | quote }} }
  {{- end }}
  livenessProbe:
    httpGet: { path: /api/health, port: {{ $row.probePort }} }
    initialDelaySeconds: 60
    timeoutSeconds: 30
    failureThreshold: 10
  readinessProbe:
    httpGet: { path: /api/health, port: {{ $row.probePort }} }
  {{- include "stack.pick" (list $values "resources") | nindent 2 }}
  volumeMounts:
  - { name: config, mountPath: /etc/grafana/grafana.ini, subPath: grafana.ini }
  - { name: storage, mountPath: /var/lib/grafana }
  {{- if $row.searchIndex }}
  - { name: search, mountPath: /var/lib/grafana-search }
  {{- end }}
  {{- range $file := keys $values.datasources | sortAlpha }}
  - { name: config, mountPath: /etc/grafana/provisioning/datasources/{{ $file }}, subPath: {{ $file | quote }} }
  {{- end }}
  {{- if $dashboards.enabled }}
  - { name: sc-dashboard-volume, mountPath: {{ $dashboards.folder }} }
  - { name: sc-dashboard-provider, mountPath: /etc/grafana/provisioning/dashboards/sc-dashboardproviders.yaml, subPath: provider.yaml }
  {{- end }}
  {{- if $sources.enabled }}
  - { name: sc-datasources-volume, mountPath: /etc/grafana/provisioning/datasources }
  {{- end }}
volumes:
- { name: config, configMap: { name: {{ $name }} } }
{{- if $values.persistence.enabled }}
- { name: storage, persistentVolumeClaim: { claimName: {{ $values.persistence.existingClaim | default $name }} } }
{{- else }}
- { name: storage, emptyDir: {} }
{{- end }}
{{- if $row.searchIndex }}
- { name: search, emptyDir: {} }
{{- end }}
{{- if $dashboards.enabled }}
- { name: sc-dashboard-volume, emptyDir: {} }
- { name: sc-dashboard-provider, configMap: { name: {{ $name }}-config-dashboards } }
{{- end }}
{{- if $sources.enabled }}
- { name: sc-datasources-volume, emptyDir: {} }
{{- end }}
{{- end }}
