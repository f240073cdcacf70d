# The event of the Tailscale operator, which the sandbox does not send.
set -eu
uid=$(kubectl -n monitoring get ingress grafana -o 'jsonpath={.metadata.uid}')
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
kubectl create -f - <<EOF
apiVersion: v1
kind: Event
metadata: { generateName: grafana., namespace: monitoring }
involvedObject: { apiVersion: networking.k8s.io/v1, kind: Ingress, namespace: monitoring, name: grafana, uid: $uid }
type: Warning
reason: InvalidIngressBackend
message: 'backend for path "/" is missing service'
source: { component: tailscale-operator }
firstTimestamp: $now
lastTimestamp: $now
count: 1
EOF
