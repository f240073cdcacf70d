package main

import (
	"fmt"
	"os"
)

// kwok carries port-forwards and answers whatever else the API server asks of a kubelet, but for logs. It is given no
// node to manage, which costs nothing however many there are; without any stage it would not start.
func (s *Sandbox) kwokConfig() string {
	text := `---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: { name: none }
spec: { resourceRef: { apiGroup: v1, kind: Node }, selector: { matchLabels: { none: none } }, next: {} }
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterPortForward
metadata: { name: backends }
spec:
  forwards:
`
	for _, row := range [][2]int{
		{9090, s.Ports.Prometheus}, {9093, s.Ports.Alertmanager}, {3000, s.Ports.Grafana}, {3100, s.Ports.Loki},
		{12345, s.Ports.Alloy}, {4180, s.Ports.Door}, {44180, s.Ports.DoorMetrics},
	} {
		text += fmt.Sprintf("  - { ports: [%d], target: { address: 127.0.0.1, port: %d } }\n", row[0], row[1])
	}
	return text
}

func (w *world) startKwok() error {
	if err := os.WriteFile(w.path("kwok.yaml"), []byte(w.kwokConfig()), 0o600); err != nil {
		return err
	}
	return w.run("kwok", w.binary("kwok"), "--kubeconfig="+w.path("kubeconfig-parts"), "--config="+w.path("kwok.yaml"),
		"--manage-single-node=none", "--node-lease-duration-seconds=0", "--server-address="+loopback(w.Ports.Kwok))
}
