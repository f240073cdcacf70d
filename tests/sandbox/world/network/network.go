// Package network models the cluster network: Service and pod addresses, NetworkPolicies, the connections of the API
// server, the tailnet and the machine outside the cluster.
package network

import (
	"net/http"

	core "k8s.io/api/core/v1"

	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/pki"
)

// Network carries connections between the simulated pods, the API server and the world outside the cluster.
type Network struct {
	*cluster.Cluster
	// exporters answers for every address that no backend of its own answers for.
	exporters http.Handler
	// alloyPort is where the Alloy of a pod listens: 0 if there is none.
	AlloyPort    func(*core.Pod) int
	certificates *certificates
}

func New(c *cluster.Cluster, authority *pki.Authority, exporters http.Handler) (*Network, error) {
	certificates, err := newCertificates(authority)
	return &Network{Cluster: c, exporters: exporters, certificates: certificates}, err
}
