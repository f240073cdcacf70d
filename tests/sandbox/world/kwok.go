package main

import "os"

// kwokConfig: kwok answers what the API server asks of a kubelet besides logs and port-forwards. It is given no node to
// manage, which costs nothing however many there are; without any stage it would not start.
const kwokConfig = `---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: { name: none }
spec: { resourceRef: { apiGroup: v1, kind: Node }, selector: { matchLabels: { none: none } }, next: {} }
`

func (w *world) startKwok() error {
	if err := os.WriteFile(w.path("kwok.yaml"), []byte(kwokConfig), 0o600); err != nil {
		return err
	}
	return w.run("kwok", w.binary("kwok"), "--kubeconfig="+w.path("kubeconfig-parts"), "--config="+w.path("kwok.yaml"),
		"--manage-single-node=none", "--node-lease-duration-seconds=0", "--server-address="+loopback(w.Ports.Kwok))
}
