package prometheus

import (
	"fmt"
	"os"
	"strings"

	core "k8s.io/api/core/v1"

	"tailwatch.dev/sandbox/world/backends"
	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/network"
	"tailwatch.dev/sandbox/world/sandbox"
)

// OperatorBackend: the real operator, with its pod's arguments. It exits without its CRDs and runs without some
// controllers if only a few exist, so it starts once all ten exist, as its pod would by restarts.
func OperatorBackend(n *network.Network) *backends.Backend {
	return &backends.Backend{Name: "operator", Desired: func(v *cluster.Objects) *backends.Desired { return operatorDesired(n, v) }}
}

func operatorDesired(n *network.Network, v *cluster.Objects) *backends.Desired {
	pods := v.ReadyPods(cluster.PrometheusOperatorApp)
	if len(pods) == 0 || len(pods[0].Spec.Containers) == 0 {
		return nil
	}
	pod := pods[0]
	arguments := backends.ReplaceFlags(pod.Spec.Containers[0].Args, map[string]string{
		"web.listen-address": sandbox.Loopback(n.Ports.Operator),
		"web.cert-file":      n.Path("operator", "cert"), "web.key-file": n.Path("operator", "key"), "web.client-ca-file": "",
	})
	arguments = append(arguments, "--apiserver=https://"+n.API(), "--ca-file="+n.Path("pki", "ca.crt"),
		"--cert-file="+n.Path("pki", "admin.crt"), "--key-file="+n.Path("pki", "admin.key"))
	return &backends.Desired{Fingerprint: sandbox.Hash(append(arguments, string(pod.UID))...), Start: func() (backends.Process, error) {
		if count := monitoringKinds(n); count < 10 {
			return nil, fmt.Errorf("%d of its 10 kinds are served", count)
		}
		if err := writeOperatorKeys(n, v, pod); err != nil {
			return nil, err
		}
		child, err := n.StartProcess("operator", arguments, nil)
		if err != nil {
			return nil, err
		}
		return child, nil
	}}
}

// monitoringKinds counts the kinds of the operator that the API server serves.
func monitoringKinds(n *network.Network) int {
	count := 0
	for _, version := range []string{"v1", "v1alpha1"} {
		list, err := n.Kube.Discovery().ServerResourcesForGroupVersion("monitoring.coreos.com/" + version)
		if err != nil {
			continue
		}
		for _, resource := range list.APIResources {
			if !strings.Contains(resource.Name, "/") {
				count++
			}
		}
	}
	return count
}

// writeOperatorKeys: the pod mounts the webhook's certificate from a Secret; without the Secret it does not start.
func writeOperatorKeys(n *network.Network, v *cluster.Objects, pod *core.Pod) error {
	for _, volume := range pod.Spec.Volumes {
		if volume.Secret == nil {
			continue
		}
		secret, err := v.Secrets.Secrets(pod.Namespace).Get(volume.Secret.SecretName)
		if err != nil {
			return fmt.Errorf("its Secret %s is missing", volume.Secret.SecretName)
		}
		if err := os.MkdirAll(n.Path("operator"), 0o700); err != nil {
			return err
		}
		for _, key := range []string{"cert", "key"} {
			if len(secret.Data[key]) == 0 {
				return fmt.Errorf("Secret %s has no key %s", secret.Name, key)
			}
			if err := os.WriteFile(n.Path("operator", key), secret.Data[key], 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}
