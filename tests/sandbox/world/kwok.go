package main

import (
	"fmt"
	"os"
)

// kwok plays the nodes and carries port-forwards; the pods on the nodes are the simulated kubelet's (kubelet.go).

const nodeStage = `---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: { name: node-ready }
spec:
  resourceRef: { apiGroup: v1, kind: Node }
  selector:
    matchExpressions:
    - { key: '.status.conditions.[] | select( .type == "Ready" ) | .status', operator: NotIn, values: ["True"] }
    - { key: '.metadata.annotations["` + downAnnotation + `"]', operator: DoesNotExist }
  next:
    statusTemplate: |
      {{ $now := Now }}
      conditions:
      {{ range NodeConditions }}
      - { type: {{ .type | Quote }}, status: {{ .status | Quote }}, reason: {{ .reason | Quote }}, message: {{ .message | Quote }}, lastHeartbeatTime: {{ $now | Quote }}, lastTransitionTime: {{ $now | Quote }} }
      {{ end }}
      addresses:
      - { type: InternalIP, address: {{ index .metadata.annotations "` + addressAnnotation + `" | Quote }} }
      - { type: Hostname, address: {{ .metadata.name | Quote }} }
      daemonEndpoints: { kubeletEndpoint: { Port: {{ NodePort }} } }
      allocatable: { cpu: "32", memory: 128Gi, pods: "250" }
      capacity: { cpu: "32", memory: 128Gi, pods: "250" }
      nodeInfo: { architecture: amd64, operatingSystem: linux, kubeletVersion: v1.36.1, containerRuntimeVersion: "containerd://2.1.0", kernelVersion: "6.12.0", osImage: sandbox, bootID: "", machineID: "", systemUUID: "", kubeProxyVersion: "" }
      phase: Running
`

// forwards sends the API server's port-forward of a simulated pod to the process that stands for it.
func (s *Sandbox) forwards() string {
	text := "---\napiVersion: kwok.x-k8s.io/v1alpha1\nkind: ClusterPortForward\nmetadata: { name: backends }\nspec:\n  forwards:\n"
	for _, row := range [][2]int{
		{9090, s.Ports.Prometheus}, {9093, s.Ports.Alertmanager}, {3000, s.Ports.Grafana}, {3100, s.Ports.Loki},
		{12345, s.Ports.Alloy}, {4180, s.Ports.Door}, {44180, s.Ports.DoorMetrics},
	} {
		text += fmt.Sprintf("  - { ports: [%d], target: { address: 127.0.0.1, port: %d } }\n", row[0], row[1])
	}
	return text
}

func (w *world) startKwok() error {
	if err := os.WriteFile(w.path("kwok.yaml"), []byte(nodeStage+w.forwards()), 0o600); err != nil {
		return err
	}
	return w.run("kwok", w.binary("kwok"), "--kubeconfig="+w.path("kubeconfig"), "--config="+w.path("kwok.yaml"),
		"--manage-all-nodes", "--node-lease-duration-seconds=0", "--node-ip=10.2.0.254", "--node-name=localhost",
		fmt.Sprintf("--node-port=%d", w.Ports.Kubelet), "--server-address="+loopback(w.Ports.Kwok),
		"--tls-cert-file="+w.path("pki", "kubelet.crt"), "--tls-private-key-file="+w.path("pki", "kubelet.key"))
}
