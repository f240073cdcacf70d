{{/* What is peculiar to this version. */}}
{{- define "loki.version" -}}
exporter: v0.17.0
sidecar: { registry: docker.io, repository: kiwigrid/k8s-sidecar, tag: 2.10.1 }
sidecarTmp: true
podSecurityContext: { fsGroupChangePolicy: OnRootMismatch }
globalImageRegistry: true
instanceLabel: app_instance
removed: [clusterLabelOverride]
publishNotReadyAddresses: true
args: [-config.expand-env=true, "-memberlist.advertise-addr=$(POD_IP)"]
env:
- { name: GOGC, value: "80" }
- { name: POD_IP, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
livenessProbe:
  httpGet: { path: /loki/api/v1/status/buildinfo, port: http-metrics }
  periodSeconds: 30
  successThreshold: 1
  failureThreshold: 10
  timeoutSeconds: 1
config:
  ingester: { wal: { flush_on_shutdown: true } }
  memberlist:
    abort_if_cluster_join_fails: true
    advertise_port: 7946
    bind_port: 7946
    max_join_backoff: 1m
    max_join_retries: 10
    min_join_backoff: 1s
    rejoin_interval: 90s
  server:
    graceful_shutdown_timeout: 5s
    grpc_server_max_concurrent_streams: 1000
    grpc_server_max_recv_msg_size: 104857600
    grpc_server_max_send_msg_size: 104857600
    grpc_server_min_time_between_pings: 10s
    grpc_server_ping_without_stream_allowed: true
    http_server_idle_timeout: 30s
    log_level: info
{{- end }}
