package controlplane

import (
	"os"

	"tailwatch.dev/sandbox/world/sandbox"
)

// kwokConfig: kwok serves the kubelet requests other than logs and port-forwards. It manages no node, since that costs CPU time
// per node; without a stage it does not start.
const kwokConfig = `---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: { name: none }
spec: { resourceRef: { apiGroup: v1, kind: Node }, selector: { matchLabels: { none: none } }, next: {} }
`

func (p *ControlPlane) startKwok() error {
	if err := os.WriteFile(p.Path("kwok.yaml"), []byte(kwokConfig), 0o600); err != nil {
		return err
	}
	return p.run("kwok", "--kubeconfig="+p.Path("kubeconfig-components"), "--config="+p.Path("kwok.yaml"),
		"--manage-single-node=none", "--node-lease-duration-seconds=0", "--server-address="+sandbox.Loopback(p.Ports.Kwok))
}
