package cluster

import (
	"net/netip"

	"tailwatch.dev/sandbox/world/worlds"
)

// NodeAddress of a node, counted from 0.
func (c *Cluster) NodeAddress(number int) string {
	return worlds.Nth(c.World.Network.Nodes, number+1).String()
}

// ApiPort is the port of the API server in the Service `kubernetes`.
const ApiPort = 6443

// ApiAddress is its address in that Service, the last of the nodes' network; it exists only inside the simulated cluster.
func (c *Cluster) ApiAddress() string {
	return worlds.Nth(c.World.Network.Nodes, worlds.Size(c.World.Network.Nodes)-1).String()
}

func (c *Cluster) IsNodeAddress(host string) bool {
	address, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	number := worlds.Number(c.World.Network.Nodes, address)
	return number > 0 && number <= c.Nodes
}

const PrometheusOperatorApp = "kube-prometheus-stack-prometheus-operator"
