// Package nodeexporter runs the real node_exporter with the arguments of the installed DaemonSet: one process for the pods
// of all nodes, which are one machine.
package nodeexporter

import (
	"tailwatch.dev/sandbox/world/backends"
	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/network"
	"tailwatch.dev/sandbox/world/sandbox"
)

// manyNodes would fill Prometheus with a thousand series each.
const manyNodes = 20

// Backend runs the real node_exporter.
func Backend(n *network.Network) *backends.Backend {
	return &backends.Backend{Name: "node-exporter", Desired: func(v *cluster.Objects) *backends.Desired {
		pods := v.ReadyPods("prometheus-node-exporter")
		if len(pods) == 0 {
			return nil
		}
		container := cluster.Container(pods[0], "node-exporter")
		if container == nil {
			return nil
		}
		arguments := backends.ReplaceFlags(container.Args, map[string]string{
			"path.procfs": "/proc", "path.sysfs": "/sys", "path.rootfs": "/", "path.udev.data": "/run/udev/data",
			"web.listen-address": sandbox.Loopback(n.Ports.NodeExporter),
		})
		if n.Nodes > manyNodes {
			arguments = append(arguments, "--collector.disable-defaults", "--collector.meminfo", "--collector.loadavg", "--collector.uname")
		}
		return &backends.Desired{Fingerprint: sandbox.Hash(arguments...), Start: func() (backends.Process, error) {
			child, err := n.StartProcess("node_exporter", arguments, nil)
			if err != nil {
				return nil, err
			}
			return child, nil
		}}
	}}
}
