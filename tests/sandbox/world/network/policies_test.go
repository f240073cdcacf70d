package network

import (
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"tailwatch.dev/sandbox/world/cluster"
)

func podIn(namespace, name string) *core.Pod {
	return &core.Pod{
		ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + name), Labels: map[string]string{"app": name}},
		Spec: core.PodSpec{NodeName: "node-0", Containers: []core.Container{{
			Name: name, Ports: []core.ContainerPort{{Name: "web", ContainerPort: 3000}},
		}}},
		Status: core.PodStatus{PodIP: "10.244.0.7"},
	}
}

// judged reports whether a policy with this spec in namespace `m` allows the connection to pod `grafana` there.
func judged(t *testing.T, spec string, from *core.Pod, port int) bool {
	policy := &networking.NetworkPolicy{ObjectMeta: meta.ObjectMeta{Namespace: "m", Name: "p"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &policy.Spec); err != nil {
		t.Fatal(err)
	}
	return allowed([]*networking.NetworkPolicy{policy}, from, cluster.Endpoint{Pod: podIn("m", "grafana"), Port: port}, func(namespace string) labels.Set {
		return labels.Set{"kubernetes.io/metadata.name": namespace}
	})
}

func TestPolicies(t *testing.T) {
	proxy := `podSelector: { matchLabels: { app: grafana } }
ingress: [{ from: [{ podSelector: { matchLabels: { app: proxy } } }], ports: [{ port: 3000 }] }]`
	tailscale := `podSelector: {}
ingress: [{ from: [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: tailscale } }, podSelector: { matchLabels: { app: proxy } } }] }]`
	for _, row := range []struct {
		what, spec string
		from       *core.Pod
		port       int
		through    bool
	}{
		{"a selected pod", proxy, podIn("m", "proxy"), 3000, true},
		{"a pod that is not selected", proxy, podIn("m", "probe"), 3000, false},
		{"another port", proxy, podIn("m", "proxy"), 9094, false},
		{"the same labels in another namespace", proxy, podIn("other", "proxy"), 3000, false},
		{"the pod itself", proxy, podIn("m", "grafana"), 3000, true},
		{"a namespace and a pod of it", tailscale, podIn("tailscale", "proxy"), 3000, true},
		{"another pod of the namespace", tailscale, podIn("tailscale", "probe"), 3000, false},
		{"the pod in another namespace", tailscale, podIn("m", "proxy"), 3000, false},
		{"a pod that no policy selects", `podSelector: { matchLabels: { app: loki } }`, podIn("m", "probe"), 3000, true},
		{"no rule", `podSelector: {}`, podIn("m", "proxy"), 3000, false},
		{"a rule without peers", "podSelector: {}\ningress: [{ ports: [{ port: web }] }]", podIn("m", "probe"), 3000, true},
		{"a named port that is another", "podSelector: {}\ningress: [{ ports: [{ port: web }] }]", podIn("m", "probe"), 9094, false},
		{"a range of ports", "podSelector: {}\ningress: [{ ports: [{ port: 2999, endPort: 3001 }] }]", podIn("m", "probe"), 3000, true},
		{"UDP only", "podSelector: {}\ningress: [{ ports: [{ port: 3000, protocol: UDP }] }]", podIn("m", "probe"), 3000, false},
		{"egress only", "podSelector: {}\npolicyTypes: [Egress]", podIn("m", "probe"), 3000, true},
		{"a block", "podSelector: {}\ningress: [{ from: [{ ipBlock: { cidr: 10.244.0.0/16 } }] }]", podIn("m", "probe"), 3000, true},
		{"an excepted block", "podSelector: {}\ningress: [{ from: [{ ipBlock: { cidr: 10.244.0.0/16, except: [10.244.0.0/24] } }] }]", podIn("m", "probe"), 3000, false},
	} {
		if through := judged(t, row.spec, row.from, row.port); through != row.through {
			t.Errorf("%s: %t", row.what, through)
		}
	}
}

func TestNodeNetworkHasNoPodLabels(t *testing.T) {
	spec := `podSelector: { matchLabels: { app: grafana } }
ingress: [{ from: [{ podSelector: { matchLabels: { app: proxy } } }] }]`
	proxy := podIn("m", "proxy")
	proxy.Spec.HostNetwork = true
	if !judged(t, spec, proxy, 3000) {
		t.Error("its own node cannot reach a pod")
	}
	proxy.Spec.NodeName = "node-1"
	if judged(t, spec, proxy, 3000) {
		t.Error("another node is treated as one of its pods")
	}
}
