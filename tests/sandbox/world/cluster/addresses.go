package cluster

import (
	"fmt"
)

// NodeAddress of a node, counted from 0.
func NodeAddress(number int) string { return fmt.Sprintf("10.2.%d.%d", number/250, number%250+1) }

// Address of the API server in the Service `kubernetes`; it exists only inside the simulated cluster.
const (
	ApiAddress = "10.1.0.1"
	ApiPort    = 6443
)

func (c *Cluster) IsNodeAddress(host string) bool {
	var high, low int
	_, err := fmt.Sscanf(host, "10.2.%d.%d", &high, &low)
	number := high*250 + low - 1
	return err == nil && number < c.Nodes && host == NodeAddress(number)
}

const PrometheusOperatorApp = "kube-prometheus-stack-prometheus-operator"

// Provisioner is the one of the StorageClass `standard`.
const Provisioner = "sandbox.tailwatch.dev/volumes"
