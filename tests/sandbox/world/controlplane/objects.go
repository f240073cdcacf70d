package controlplane

import (
	"context"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	rbac "k8s.io/api/rbac/v1"
	storage "k8s.io/api/storage/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"tailwatch.dev/sandbox/world/cluster"
)

const defaultClass = "storageclass.kubernetes.io/is-default-class"

// MakeObjects creates the objects of a new cluster.
func (p *ControlPlane) MakeObjects(ctx context.Context) error {
	for number := range p.Nodes {
		if _, err := p.Kube.CoreV1().Nodes().Create(ctx, p.node(number), meta.CreateOptions{}); err != nil {
			return err
		}
	}
	wait, reclaim, expand := storage.VolumeBindingWaitForFirstConsumer, core.PersistentVolumeReclaimDelete, true
	class := &storage.StorageClass{
		ObjectMeta:  meta.ObjectMeta{Name: "standard", Annotations: map[string]string{defaultClass: "true"}},
		Provisioner: cluster.Provisioner, VolumeBindingMode: &wait, ReclaimPolicy: &reclaim, AllowVolumeExpansion: &expand,
	}
	if _, err := p.Kube.StorageV1().StorageClasses().Create(ctx, class, meta.CreateOptions{}); err != nil {
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
			Addresses: []core.EndpointAddress{{IP: cluster.ApiAddress}}, Ports: []core.EndpointPort{{Name: "https", Port: cluster.ApiPort}},
		}},
	}
	_, err := p.Kube.CoreV1().Endpoints("default").Create(ctx, endpoints, meta.CreateOptions{})
	return err
}
