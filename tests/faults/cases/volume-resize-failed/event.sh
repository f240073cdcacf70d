# The event of the external resizer, which the sandbox does not run.
set -eu
uid=$(kubectl -n monitoring get pvc storage-loki-0 -o 'jsonpath={.metadata.uid}')
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
kubectl create -f - <<EOF
apiVersion: v1
kind: Event
metadata: { generateName: storage-loki-0., namespace: monitoring }
involvedObject: { apiVersion: v1, kind: PersistentVolumeClaim, namespace: monitoring, name: storage-loki-0, uid: $uid }
type: Warning
reason: VolumeResizeFailed
message: 'resize volume "pvc-$uid" by resizer "disks.example.com" failed: rpc error: code = OutOfRange desc = the pool has 0 bytes left'
source: { component: external-resizer disks.example.com }
firstTimestamp: $now
lastTimestamp: $now
count: 1
EOF
