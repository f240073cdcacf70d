package network

import (
	"net/netip"
	"slices"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tailwatch.dev/sandbox/world/cluster"
)

// Only ingress rules are enforced. A connection of an unknown pod or of a node is allowed.

// Allows says whether a pod's connection reaches its target. The fault `network=policies-ignored` is a plugin that
// enforces nothing.
func (n *Network) Allows(from *core.Pod, to cluster.Endpoint) bool {
	if fault, _ := n.Fault("network"); fault.Target == "policies-ignored" {
		return true
	}
	objects := n.Objects()
	policies, _ := objects.NetworkPolicies.NetworkPolicies(to.Pod.Namespace).List(labels.Everything())
	return allowed(policies, from, to, func(namespace string) labels.Set {
		if found, err := objects.Namespaces.Get(namespace); err == nil {
			return found.Labels
		}
		return nil
	})
}

// allowed judges by the policies of the target's namespace: who is selected by none is open to all, else one of the
// rules has to admit.
func allowed(policies []*networking.NetworkPolicy, from *core.Pod, to cluster.Endpoint, namespaceLabels func(string) labels.Set) bool {
	// The node's own network is none that policies rule.
	if from == nil || from.UID == to.Pod.UID || to.Pod.Spec.HostNetwork || (from.Spec.HostNetwork && from.Spec.NodeName == to.Pod.Spec.NodeName) {
		return true
	}
	selected := false
	for _, policy := range policies {
		// Without policyTypes a policy is one of ingress.
		ingress := len(policy.Spec.PolicyTypes) == 0 || slices.Contains(policy.Spec.PolicyTypes, networking.PolicyTypeIngress)
		if !ingress || !selects(&policy.Spec.PodSelector, to.Pod.Labels) {
			continue
		}
		selected = true
		for _, rule := range policy.Spec.Ingress {
			if hasPort(rule.Ports, to) && (len(rule.From) == 0 || slices.ContainsFunc(rule.From, func(peer networking.NetworkPolicyPeer) bool {
				return isPeer(peer, policy.Namespace, from, namespaceLabels)
			})) {
				return true
			}
		}
	}
	return !selected
}

func selects(selector *meta.LabelSelector, set labels.Set) bool {
	parsed, err := meta.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(set)
}

func hasPort(ports []networking.NetworkPolicyPort, to cluster.Endpoint) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(port networking.NetworkPolicyPort) bool {
		switch {
		case port.Protocol != nil && *port.Protocol != core.ProtocolTCP:
			return false
		case port.Port == nil:
			return true
		case port.Port.Type == intstr.String:
			return slices.ContainsFunc(to.Pod.Spec.Containers, func(container core.Container) bool {
				return slices.ContainsFunc(container.Ports, func(declared core.ContainerPort) bool {
					return declared.Name == port.Port.StrVal && int(declared.ContainerPort) == to.Port
				})
			})
		case port.EndPort != nil:
			return port.Port.IntValue() <= to.Port && to.Port <= int(*port.EndPort)
		default:
			return port.Port.IntValue() == to.Port
		}
	})
}

func isPeer(peer networking.NetworkPolicyPeer, namespace string, from *core.Pod, namespaceLabels func(string) labels.Set) bool {
	if block := peer.IPBlock; block != nil {
		within := func(text string) bool {
			network, err := netip.ParsePrefix(text)
			address, addressErr := netip.ParseAddr(from.Status.PodIP)
			return err == nil && addressErr == nil && network.Contains(address)
		}
		return within(block.CIDR) && !slices.ContainsFunc(block.Except, within)
	}
	// What comes from a node's network has no pod's labels.
	if from.Spec.HostNetwork {
		return false
	}
	if peer.NamespaceSelector == nil {
		return from.Namespace == namespace && selects(peer.PodSelector, from.Labels)
	}
	return selects(peer.NamespaceSelector, namespaceLabels(from.Namespace)) && (peer.PodSelector == nil || selects(peer.PodSelector, from.Labels))
}
