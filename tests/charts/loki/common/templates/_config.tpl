{{/* Object storage for `common` or the ruler; takes (dict "root" $ "bucket" "chunks") */}}
{{- define "loki.objectStorage" -}}
{{- $storage := .root.Values.loki.storage -}}
{{- $bucket := required (printf "Please define loki.storage.bucketNames.%s" .bucket) (get $storage.bucketNames .bucket) -}}
{{- if ne $storage.type "s3" }}{{ fail (printf "this stand-in models the storage types filesystem and s3, not %s" $storage.type) }}{{ end -}}
{{- $s3 := dict "bucketnames" $bucket "s3forcepathstyle" $storage.s3.s3ForcePathStyle "insecure" $storage.s3.insecure -}}
{{- range $ours, $theirs := dict "endpoint" "endpoint" "region" "region" "accessKeyId" "access_key_id" "secretAccessKey" "secret_access_key" -}}
{{- with get $storage.s3 $ours }}{{ $_ := set $s3 $theirs . }}{{ end -}}
{{- end -}}
{{- dict "s3" $s3 | toYaml -}}
{{- end }}

{{/* The cache client; takes (dict "root" $ "cache" MAP "name" "chunks-cache" "more" MAP) */}}
{{- define "loki.cacheConfig" -}}
{{- $address := include "loki.address" (dict "root" .root "host" (printf "%s-%s" (include "loki.fullname" .root) .name)) -}}
{{- $client := dict "addresses" (printf "dnssrvnoa+_memcached-client._tcp.%s" $address) "consistent_hash" true "timeout" .cache.timeout -}}
default_validity: {{ .cache.defaultValidity }}
background: { writeback_goroutines: 1, writeback_buffer: 500000, writeback_size_limit: 500MB }
memcached_client:
  {{- merge $client .more | toYaml | nindent 2 }}
{{- end }}

{{/* Loki's configuration. As in the real chart all of it goes through tpl: a {{ }} in a value is a template. */}}
{{- define "loki.config" -}}
{{- $loki := .Values.loki -}}
{{- $defaults := (include "loki.version" . | fromYaml).config | default dict -}}
{{- $config := dict "auth_enabled" $loki.auth_enabled "tracing" $loki.tracing -}}
{{- range $key := list "server" "pattern_ingester" "ingester" "ingester_client" "limits_config" "query_scheduler" "compactor"
  "analytics" "querier" "index_gateway" "frontend" "frontend_worker" "distributor" "bloom_build" "bloom_gateway" "operational_config" -}}
{{- with get $loki $key }}{{ $_ := set $config $key (deepCopy .) }}{{ end -}}
{{- end -}}
{{- $_ := set $config "runtime_config" (dict "file" "/etc/loki/runtime-config/runtime-config.yaml") -}}
{{- $memberlist := include "loki.address" (dict "root" . "host" (printf "%s-memberlist" (include "loki.fullname" .))) -}}
{{- $_ := set $config "memberlist" (dict "join_members" (list $memberlist)) -}}

{{- with $loki.commonConfig -}}
{{- $storage := dict "filesystem" $loki.storage.filesystem -}}
{{- if include "loki.usesObjectStorage" $ }}{{ $storage = include "loki.objectStorage" (dict "root" $ "bucket" "chunks") | fromYaml }}{{ end -}}
{{- $_ := set $config "common" (merge (dict "storage" $storage) .) -}}
{{- end -}}
{{- with $loki.storage_config -}}
{{- $_ := set $config "storage_config" (merge dict . (dict "use_thanos_objstore" false)) -}}
{{- end -}}
{{- with ternary $loki.testSchemaConfig $loki.schemaConfig $loki.useTestSchema -}}
{{- $_ := set $config "schema_config" . -}}
{{- end -}}
{{- if .Values.ruler.enabled -}}
{{- $storage := dict "type" "local" -}}
{{- if include "loki.usesObjectStorage" . -}}
{{- $storage = merge (dict "type" $loki.storage.type) (include "loki.objectStorage" (dict "root" . "bucket" "ruler") | fromYaml) -}}
{{- end -}}
{{- $_ := set $config "ruler" (merge dict ($loki.rulerConfig | default dict) (dict "storage" $storage)) -}}
{{- end -}}
{{- if .Values.chunksCache.enabled -}}
{{- $cache := include "loki.cacheConfig" (dict "root" . "cache" .Values.chunksCache "name" "chunks-cache" "more" (dict "max_idle_conns" 72)) | fromYaml -}}
{{- $_ := set $config "chunk_store_config" (dict "chunk_cache_config" (set $cache "memcached" (dict "batch_size" 4 "parallelism" 5))) -}}
{{- end -}}
{{- $range := merge dict $loki.query_range (dict "align_queries_with_step" true) -}}
{{- if .Values.resultsCache.enabled -}}
{{- $cache := include "loki.cacheConfig" (dict "root" . "cache" .Values.resultsCache "name" "results-cache" "more" (dict "update_interval" "1m")) | fromYaml -}}
{{- $range = merge (dict "cache_results" true "results_cache" (dict "cache" $cache)) $range -}}
{{- end -}}
{{- $_ := set $config "query_range" $range -}}
{{- tpl (mergeOverwrite $defaults $config (deepCopy $loki.structuredConfig) | toYaml) . -}}
{{- end }}
