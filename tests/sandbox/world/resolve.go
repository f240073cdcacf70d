package main

import (
	"fmt"
	"net"
)

// resolve gives the local address of the process that stands for an address of the simulated world.
func (w *world) resolve(address string) (string, bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", false
	}
	switch address {
	case issuerHost + ":443":
		fault, _ := w.fault("issuer")
		return loopback(w.Ports.Issuer), fault.Target != "gone"
	case fmt.Sprintf("%s:%d", apiAddress, apiPort):
		return loopback(w.Ports.API), true
	}
	if host == "localhost" || w.isNodeAddress(host) {
		switch port {
		case fmt.Sprint(w.Ports.Kubelet):
			return loopback(w.Ports.Kubelet), true
		case "10250":
			return loopback(w.Ports.ExportersTLS), true
		}
	}
	view := w.view()
	if view == nil {
		return "", false
	}
	found, ok := view.find(address)
	if !ok {
		return "", false
	}
	return w.local(found), true
}

func (w *world) isNodeAddress(host string) bool {
	var high, low int
	_, err := fmt.Sscanf(host, "10.2.%d.%d", &high, &low)
	number := high*250 + low - 1
	return err == nil && number < w.Nodes && host == nodeAddress(number)
}

// local: what no process of its own stands for is one of the simulated exporters.
func (w *world) local(found endpoint) string {
	ports := map[string]int{
		"prometheus:9090": w.Ports.Prometheus, "alertmanager:9093": w.Ports.Alertmanager, "grafana:3000": w.Ports.Grafana,
		"loki:3100": w.Ports.Loki, "alloy:12345": w.backends.alloy.port(found.pod), "oauth2-proxy:4180": w.Ports.Door,
		"oauth2-proxy:44180": w.Ports.DoorMetrics, operatorApp + ":10250": w.Ports.Operator,
	}
	if port, ok := ports[fmt.Sprintf("%s:%d", app(found.pod), found.port)]; ok {
		return loopback(port)
	}
	return loopback(w.Ports.Exporters)
}
