package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/sandbox"
)

// tailscaleFinalizer is on everything that the operator serves (cmd/k8s-operator/sts.go of Tailscale).
const tailscaleFinalizer = "tailscale.com/finalizer"

// tailscaleOperator does what the Tailscale operator does once a proxy has its certificate: the hostname is the first
// label of the TLS host on the tailnet. The fault `tailscale` changes its result.
type tailscaleOperator struct {
	cluster *cluster.Cluster
	warned  map[types.UID]*backoff
	// renamed are the Ingresses that got a name with a number because of the fault `host-in-use`.
	renamed map[types.UID]bool
}

func (o *tailscaleOperator) reconcile(ctx context.Context) error {
	fault, _ := o.cluster.Fault("tailscale")
	for _, ingress := range o.cluster.Objects().AllIngresses() {
		class := ingress.Spec.IngressClassName
		if class == nil || *class != "tailscale" || len(ingress.Spec.TLS) == 0 || len(ingress.Spec.TLS[0].Hosts) == 0 {
			continue
		}
		if fault.Target == "operator-not-running" {
			continue
		}
		if ended, err := o.updateFinalizer(ctx, ingress); ended || err != nil {
			return err
		}
		label := ingress.Spec.TLS[0].Hosts[0]
		given := ingress.Status.LoadBalancer.Ingress
		switch fault.Target {
		case "https-disabled":
			o.warn(ingress)
			continue
		case "no-address", "tags-rejected":
			continue
		}
		taken := fault.Target == "host-in-use"
		if len(given) > 0 && (taken || !o.renamed[ingress.UID]) {
			continue
		}
		hostname := label + "." + sandbox.Tailnet
		if taken {
			hostname = label + "-1." + sandbox.Tailnet
		}
		changed := ingress.DeepCopy()
		changed.Status.LoadBalancer.Ingress = []networking.IngressLoadBalancerIngress{{
			Hostname: hostname, Ports: []networking.IngressPortStatus{{Port: 443, Protocol: core.ProtocolTCP}},
		}}
		if _, err := o.cluster.Kube.NetworkingV1().Ingresses(ingress.Namespace).UpdateStatus(ctx, changed, meta.UpdateOptions{}); err != nil {
			return err
		}
		if o.renamed == nil {
			o.renamed = map[types.UID]bool{}
		}
		o.renamed[ingress.UID] = taken
	}
	return nil
}

// updateFinalizer adds the operator's finalizer to an Ingress that it serves and removes it from one that is deleted, unless
// the operator's IngressClass is gone. It reports whether it changed the object.
func (o *tailscaleOperator) updateFinalizer(ctx context.Context, ingress *networking.Ingress) (bool, error) {
	held := slices.Contains(ingress.Finalizers, tailscaleFinalizer)
	leaving := ingress.DeletionTimestamp != nil
	if held != leaving {
		return leaving, nil
	}
	if _, err := o.cluster.Kube.NetworkingV1().IngressClasses().Get(ctx, "tailscale", meta.GetOptions{}); err != nil {
		return leaving, nil
	}
	changed := ingress.DeepCopy()
	if leaving {
		changed.Finalizers = slices.DeleteFunc(changed.Finalizers, func(name string) bool { return name == tailscaleFinalizer })
	} else {
		changed.Finalizers = append(changed.Finalizers, tailscaleFinalizer)
	}
	_, err := o.cluster.Kube.NetworkingV1().Ingresses(ingress.Namespace).Update(ctx, changed, meta.UpdateOptions{})
	return true, err
}

func (o *tailscaleOperator) warn(ingress *networking.Ingress) {
	if o.warned == nil {
		o.warned = map[types.UID]*backoff{}
	}
	if o.warned[ingress.UID] == nil {
		o.warned[ingress.UID] = &backoff{}
	}
	if o.warned[ingress.UID].isDue(time.Now()) {
		o.cluster.Recorder("tailscale-operator", "").Event(ingress, core.EventTypeWarning, "HTTPSNotEnabled", "HTTPS is not enabled on the tailnet; ingress may not work")
	}
}

// TailscaleOperatorLog is the log of an operator's pod in namespace tailscale while the tailnet rejects its tags.
func TailscaleOperatorLog(c *cluster.Cluster, pod *core.Pod) []string {
	if fault, _ := c.Fault("tailscale"); fault.Target != "tags-rejected" || pod.Namespace != "tailscale" || !strings.HasPrefix(pod.Name, "operator-") {
		return nil
	}
	lines, now := []string{}, time.Now()
	for _, ingress := range c.Objects().AllIngresses() {
		if class := ingress.Spec.IngressClassName; class != nil && *class == "tailscale" {
			lines = append(lines, fmt.Sprintf(`{"level":"error","ts":%q,"msg":"Reconciler error","controller":"ingress","controllerKind":"Ingress","namespace":%q,"name":%q,"error":"failed to provision: failed to create or get API key secret: Status: 400, Message: \"requested tags [tag:k8s] are invalid or not permitted\""}`,
				now.UTC().Format(time.RFC3339), ingress.Namespace, ingress.Name))
		}
	}
	return lines
}
