// Package kubestatemetrics runs the real kube-state-metrics with the arguments of the installed pod, and with the
// permissions of its ServiceAccount.
package kubestatemetrics

import (
	"fmt"
	"strconv"

	core "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"

	"tailwatch.dev/sandbox/world/backends"
	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/network"
)

// Backend runs the real kube-state-metrics.
func Backend(n *network.Network) *backends.Backend {
	return &backends.Backend{Name: "kube-state-metrics", Desired: func(v *cluster.Objects) *backends.Desired {
		pods := v.ReadyPods("kube-state-metrics")
		if len(pods) == 0 {
			return nil
		}
		container := cluster.Container(pods[0], "kube-state-metrics")
		if container == nil {
			return nil
		}
		return &backends.Desired{Fingerprint: string(pods[0].UID), Start: func() (backends.Process, error) {
			kubeconfig, err := writeKubeconfig(n, pods[0])
			if err != nil {
				return nil, err
			}
			arguments := backends.ReplaceFlags(container.Args, map[string]string{
				"host": "", "port": "", "telemetry-host": "", "telemetry-port": "", "kubeconfig": "",
			})
			child, err := n.StartProcess("kube-state-metrics", append(arguments, "--kubeconfig="+kubeconfig,
				"--host=127.0.0.1", "--port="+strconv.Itoa(n.Ports.KubeStateMetrics),
				"--telemetry-host=127.0.0.1", "--telemetry-port="+strconv.Itoa(n.Ports.KubeStateTelemetry)), nil)
			if err != nil {
				return nil, err
			}
			return child, nil
		}}
	}}
}

// writeKubeconfig makes a kubeconfig that impersonates the pod's ServiceAccount.
func writeKubeconfig(n *network.Network, pod *core.Pod) (string, error) {
	config, err := clientcmd.LoadFromFile(n.Path("kubeconfig-components"))
	if err != nil {
		return "", err
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = fmt.Sprintf("system:serviceaccount:%s:%s", pod.Namespace, pod.Spec.ServiceAccountName)
	}
	file := n.Path("kubeconfig-kube-state-metrics")
	return file, clientcmd.WriteToFile(*config, file)
}
