# helm is killed while a hook of the chart runs.
set -eu
cat >"$TAILWATCH_SANDBOX_DIR/hook.yaml" <<'EOF'
extraObjects:
- apiVersion: batch/v1
  kind: Job
  metadata: { name: loki-migrate, annotations: { helm.sh/hook: pre-upgrade } }
  spec:
    template:
      spec: { restartPolicy: Never, nodeSelector: { disk: nvme }, containers: [{ name: migrate, image: "migrate:1" }] }
EOF
helm -n monitoring upgrade loki "$TAILWATCH_SANDBOX_DIR/charts/loki-6.46.0.tgz" --reuse-values -f "$TAILWATCH_SANDBOX_DIR/hook.yaml" >/dev/null 2>&1 &
until kubectl -n monitoring get job loki-migrate >/dev/null 2>&1; do sleep 0.1; done
kill -9 $!
