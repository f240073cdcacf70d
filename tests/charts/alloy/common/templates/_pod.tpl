{{- define "alloy.pod" -}}
{{- $alloy := .Values.alloy -}}
{{- $controller := .Values.controller -}}
{{- $version := include "alloy.version" . | fromYaml -}}
{{- $registry := .Values.global.image.registry -}}
metadata:
  annotations:
    kubectl.kubernetes.io/default-container: alloy
    {{- /* With the reloader a changed configuration does not roll the pods. */}}
    {{- if and (not .Values.configReloader.enabled) $alloy.configMap.create $alloy.configMap.content }}
    checksum/config: {{ include "alloy.config" . | sha256sum | trunc 63 }}
    {{- end }}
    {{- with $controller.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "alloy.selector" . | nindent 4 }}
    {{- with $controller.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "alloy.serviceAccountName" . }}
  dnsPolicy: {{ $controller.dnsPolicy }}
  {{- with .Values.global.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.global.image.pullSecrets | default .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- range $key := list "initContainers" "priorityClassName" "hostNetwork" "hostPID" "terminationGracePeriodSeconds" "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" }}
  {{- with get $controller $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with $alloy.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
  - name: alloy
    image: {{ $registry | default .Values.image.registry }}/{{ .Values.image.repository }}{{ include "alloy.imageId" (dict "image" .Values.image "tag" .Chart.AppVersion) }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args:
    - run
    - /etc/alloy/{{ $alloy.configMap.key | default "config.alloy" }}
    - --storage.path={{ $alloy.storagePath }}
    - --server.http.listen-addr={{ $alloy.listenAddr }}:{{ $alloy.listenPort }}
    - --server.http.ui-path-prefix={{ $alloy.uiPathPrefix }}
    {{- if not $alloy.enableReporting }}
    - --disable-reporting
    {{- end }}
    {{- with $alloy.stabilityLevel }}
    - --stability.level={{ . }}
    {{- end }}
    {{- with $alloy.extraArgs }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    env:
    - { name: ALLOY_DEPLOY_MODE, value: helm }
    {{- range $version.nodeNames }}
    - { name: {{ . }}, valueFrom: { fieldRef: { fieldPath: spec.nodeName } } }
    {{- end }}
    {{- with $alloy.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- if $alloy.enableHttpServerPort }}
    ports:
    - { name: http-metrics, containerPort: {{ $alloy.listenPort }} }
    readinessProbe:
      httpGet: { path: /-/ready, port: {{ $alloy.listenPort }}, scheme: {{ $alloy.listenScheme }} }
      initialDelaySeconds: {{ $alloy.initialDelaySeconds }}
      timeoutSeconds: {{ $alloy.timeoutSeconds }}
    {{- end }}
    {{- range $key := list "envFrom" "livenessProbe" "resources" "lifecycle" "securityContext" }}
    {{- with get $alloy $key }}
    {{ $key }}:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- end }}
    volumeMounts:
    - { name: config, mountPath: /etc/alloy }
    {{- if $alloy.mounts.varlog }}
    - { name: varlog, mountPath: /var/log, readOnly: true }
    {{- end }}
    {{- if $alloy.mounts.dockercontainers }}
    - { name: dockercontainers, mountPath: /var/lib/docker/containers, readOnly: true }
    {{- end }}
    {{- with $alloy.mounts.extra }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.configReloader }}
  {{- if .enabled }}
  - name: config-reloader
    image: {{ $registry | default .image.registry }}/{{ .image.repository }}{{ include "alloy.imageId" (dict "image" .image "tag" $version.reloader.tag) }}
    {{- with $version.reloader.pullPolicy }}
    imagePullPolicy: {{ . }}
    {{- end }}
    args:
    {{- with .customArgs }}
    {{- toYaml . | nindent 4 }}
    {{- else }}
    - --watched-dir=/etc/alloy
    - --reload-url=http://localhost:{{ $alloy.listenPort }}/-/reload
    {{- end }}
    volumeMounts:
    - { name: config, mountPath: /etc/alloy }
    {{- with .resources }}
    resources:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with merge dict (.securityContext | default dict) $version.reloader.securityContext }}
    securityContext:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  {{- end }}
  {{- end }}
  {{- with $controller.extraContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  volumes:
  - { name: config, configMap: { name: {{ include "alloy.configMapName" . }} } }
  {{- if $alloy.mounts.varlog }}
  - { name: varlog, hostPath: { path: /var/log } }
  {{- end }}
  {{- if $alloy.mounts.dockercontainers }}
  - { name: dockercontainers, hostPath: { path: /var/lib/docker/containers } }
  {{- end }}
  {{- with $controller.volumes.extra }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
