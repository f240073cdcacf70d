package main

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The simulated network plugin: it enforces the ingress rules of NetworkPolicies. Whose connection it cannot tell, and
// what comes from a node, it lets through.

// admits says whether a pod's connection reaches its target. The fault `network=policies-ignored` is a plugin that
// enforces nothing.
func (w *world) admits(from *core.Pod, to endpoint) bool {
	if fault, _ := w.fault("network"); fault.Target == "policies-ignored" {
		return true
	}
	view := w.view()
	policies, _ := view.policies.NetworkPolicies(to.pod.Namespace).List(labels.Everything())
	return admitted(policies, from, to, func(namespace string) labels.Set {
		if found, err := view.namespaces.Get(namespace); err == nil {
			return found.Labels
		}
		return nil
	})
}

// admitted judges by the policies of the target's namespace: who is selected by none is open to all, else one of the
// rules has to admit.
func admitted(policies []*networking.NetworkPolicy, from *core.Pod, to endpoint, namespaceLabels func(string) labels.Set) bool {
	// The node's own network is none that policies rule.
	if from == nil || from.UID == to.pod.UID || to.pod.Spec.HostNetwork || (from.Spec.HostNetwork && from.Spec.NodeName == to.pod.Spec.NodeName) {
		return true
	}
	selected := false
	for _, policy := range policies {
		// Without policyTypes a policy is one of ingress.
		ingress := len(policy.Spec.PolicyTypes) == 0 || slices.Contains(policy.Spec.PolicyTypes, networking.PolicyTypeIngress)
		if !ingress || !selects(&policy.Spec.PodSelector, to.pod.Labels) {
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

func hasPort(ports []networking.NetworkPolicyPort, to endpoint) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(port networking.NetworkPolicyPort) bool {
		switch {
		case port.Protocol != nil && *port.Protocol != core.ProtocolTCP:
			return false
		case port.Port == nil:
			return true
		case port.Port.Type == intstr.String:
			return slices.ContainsFunc(to.pod.Spec.Containers, func(container core.Container) bool {
				return slices.ContainsFunc(container.Ports, func(declared core.ContainerPort) bool {
					return declared.Name == port.Port.StrVal && int(declared.ContainerPort) == to.port
				})
			})
		case port.EndPort != nil:
			return port.Port.IntValue() <= to.port && to.port <= int(*port.EndPort)
		default:
			return port.Port.IntValue() == to.port
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

// proxyFor is the loopback proxy's address for a pod: the user name tells it who asks.
func (w *world) proxyFor(pod *core.Pod) string {
	return "http://" + pod.Namespace + "%2F" + pod.Name + ":-@" + loopback(w.Ports.Scrape)
}

// asking is the pod that asks the loopback proxy, if it says so.
func (w *world) asking(request *http.Request) *core.Pod {
	text, _ := strings.CutPrefix(request.Header.Get("Proxy-Authorization"), "Basic ")
	decoded, _ := base64.StdEncoding.DecodeString(text)
	name, _, _ := strings.Cut(string(decoded), ":")
	namespace, name, _ := strings.Cut(name, "/")
	pod, err := w.view().pods.Pods(namespace).Get(name)
	if err != nil {
		return nil
	}
	return pod
}

// holdsBack lets a connection that policies refuse hang until who asks gives up, as dropped packets do.
func (w *world) holdsBack(request *http.Request, address string) bool {
	view := w.view()
	if view == nil {
		return false
	}
	found, ok := view.find(address)
	if !ok || w.admits(w.asking(request), found) {
		return false
	}
	sleep(request.Context(), time.Minute)
	return true
}

// isKnown: there is such a name, or it is an address.
func (v *view) isKnown(target string) bool {
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		return false
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	parts := strings.Split(strings.TrimSuffix(host, ".cluster.local"), ".")
	if len(parts) != 3 || parts[2] != "svc" {
		return false
	}
	_, err = v.services.Services(parts[1]).Get(parts[0])
	return err == nil
}
