package controlplane

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"tailwatch.dev/sandbox/world/cluster"
)

const defaultClass = "storageclass.kubernetes.io/is-default-class"

// MakeObjects creates the objects of a new cluster.
func (p *ControlPlane) MakeObjects(ctx context.Context) error {
	for number, row := range p.World.AllNodes() {
		if _, err := p.Kube.CoreV1().Nodes().Create(ctx, p.node(number, row), meta.CreateOptions{}); err != nil {
			return err
		}
	}
	for _, class := range p.World.StorageClasses {
		if _, err := p.Kube.StorageV1().StorageClasses().Create(ctx, &class, meta.CreateOptions{}); err != nil {
			return err
		}
	}
	if err := p.createObjects(ctx); err != nil {
		return err
	}
	ingress := &networking.IngressClass{ObjectMeta: meta.ObjectMeta{Name: "tailscale"}, Spec: networking.IngressClassSpec{Controller: "tailscale.com/ts-ingress"}}
	if _, err := p.Kube.NetworkingV1().IngressClasses().Create(ctx, ingress, meta.CreateOptions{}); err != nil {
		return err
	}
	// A user with no permission but discovery.
	role := &rbac.ClusterRoleBinding{
		ObjectMeta: meta.ObjectMeta{Name: "sandbox-unprivileged"},
		RoleRef:    rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: "system:discovery"},
		Subjects:   []rbac.Subject{{Kind: "User", APIGroup: rbac.GroupName, Name: "sandbox-unprivileged"}},
	}
	if _, err := p.Kube.RbacV1().ClusterRoleBindings().Create(ctx, role, meta.CreateOptions{}); err != nil {
		return err
	}
	if err := makeDNS(ctx, p.Kube); err != nil {
		return err
	}
	return p.makeAPIEndpoints(ctx)
}

// createObjects creates the objects of the world's row.
func (p *ControlPlane) createObjects(ctx context.Context) error {
	if len(p.World.Objects) == 0 {
		return nil
	}
	list, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": p.World.Objects})
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, p.Binary("kubectl"), "--kubeconfig", p.Path("kubeconfig-components"), "create", "-f", "-")
	command.Stdin = bytes.NewReader(list)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("the objects of world %s: %w: %s", p.World.Name, err, output)
	}
	return nil
}

// makeDNS: kube-prometheus-stack scrapes what has the label k8s-app=kube-dns.
func makeDNS(ctx context.Context, kube *kubernetes.Clientset) error {
	labels := map[string]string{"k8s-app": "kube-dns"}
	one := int32(1)
	deployment := &apps.Deployment{
		ObjectMeta: meta.ObjectMeta{Name: "coredns", Namespace: "kube-system", Labels: labels},
		Spec: apps.DeploymentSpec{Replicas: &one, Selector: &meta.LabelSelector{MatchLabels: labels}, Template: core.PodTemplateSpec{
			ObjectMeta: meta.ObjectMeta{Labels: labels},
			Spec: core.PodSpec{Containers: []core.Container{{
				Name: "coredns", Image: "coredns", Ports: []core.ContainerPort{{Name: "metrics", ContainerPort: 9153}},
			}}},
		}},
	}
	_, err := kube.AppsV1().Deployments("kube-system").Create(ctx, deployment, meta.CreateOptions{})
	return err
}

// makeAPIEndpoints replaces the API server's endpoint reconciler, which rejects loopback addresses.
func (p *ControlPlane) makeAPIEndpoints(ctx context.Context) error {
	for {
		if _, err := p.Kube.CoreV1().Services("default").Get(ctx, "kubernetes", meta.GetOptions{}); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	endpoints := &core.Endpoints{
		ObjectMeta: meta.ObjectMeta{Name: "kubernetes", Namespace: "default"},
		Subsets: []core.EndpointSubset{{
			Addresses: []core.EndpointAddress{{IP: p.ApiAddress()}}, Ports: []core.EndpointPort{{Name: "https", Port: cluster.ApiPort}},
		}},
	}
	_, err := p.Kube.CoreV1().Endpoints("default").Create(ctx, endpoints, meta.CreateOptions{})
	return err
}
