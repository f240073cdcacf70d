package network

import (
	"fmt"
	"net"

	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/sandbox"
)

// Resolve gives the local address of the process that answers for an address of the simulated cluster.
func (n *Network) Resolve(address string) (string, bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", false
	}
	switch address {
	case sandbox.IssuerHost + ":443":
		fault, _ := n.Fault("issuer")
		return sandbox.Loopback(n.Ports.Issuer), fault.Target != "unreachable"
	case net.JoinHostPort(n.ApiAddress(), fmt.Sprint(cluster.ApiPort)):
		return n.API(), true
	}
	if host == "localhost" || n.IsNodeAddress(host) {
		switch port {
		case fmt.Sprint(n.Ports.Kubelet):
			return sandbox.Loopback(n.Ports.Kubelet), true
		case "10250":
			return sandbox.Loopback(n.Ports.ExportersTLS), true
		}
	}
	objects := n.Objects()
	if objects == nil {
		return "", false
	}
	found, ok := objects.Find(address)
	if !ok {
		return "", false
	}
	return n.Local(found), true
}

// Local gives the local address of a pod's port: the exporters answer for every pod without a backend.
func (n *Network) Local(found cluster.Endpoint) string {
	logs, _ := n.Fault("logs")
	metrics, _ := n.Fault("metrics")
	loki, alertmanager := n.Ports.Loki, n.Ports.Alertmanager
	if logs.Target == "read-only" || logs.Target == "lost-in-loki" {
		loki = n.Ports.LokiFaulty
	}
	if metrics.Target == "alertmanager-drops-alerts" {
		alertmanager = n.Ports.AlertmanagerFaulty
	}
	ports := map[string]int{
		"prometheus:9090": n.Ports.Prometheus, "alertmanager:9093": alertmanager, "grafana:3000": n.Ports.Grafana,
		"loki:3100": loki, "alloy:12345": n.AlloyPort(found.Pod), "oauth2-proxy:4180": n.Ports.OAuth2Proxy,
		"kube-state-metrics:8080": n.Ports.KubeStateMetrics, "kube-state-metrics:8081": n.Ports.KubeStateTelemetry,
		"oauth2-proxy:44180": n.Ports.OAuth2ProxyMetrics, cluster.PrometheusOperatorApp + ":10250": n.Ports.Operator,
	}
	if port, ok := ports[fmt.Sprintf("%s:%d", cluster.AppName(found.Pod), found.Port)]; ok {
		return sandbox.Loopback(port)
	}
	return sandbox.Loopback(n.Ports.Exporters)
}
