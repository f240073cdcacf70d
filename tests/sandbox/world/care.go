package main

import (
	"context"
	"fmt"
	"log"
	"time"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// care plays the controllers that a real cluster has beside Kubernetes' own: the volume provisioner and the Tailscale
// operator.
func (w *world) care(ctx context.Context) {
	every(ctx, 100*time.Millisecond, func() {
		for name, work := range map[string]func(context.Context) error{
			"volumes": w.provision, "ingress": w.assignAddresses, "quota": w.keepQuota,
		} {
			if err := work(ctx); err != nil && ctx.Err() == nil && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
				log.Printf("%s: %v", name, err)
			}
		}
	})
}

// provision makes a volume for each claim whose pod the scheduler has placed, and takes released ones away.
func (w *world) provision(ctx context.Context) error {
	claims, _ := w.view.claims.List(labels.Everything())
	for _, claim := range claims {
		class := claim.Spec.StorageClassName
		placed := claim.Annotations["volume.kubernetes.io/selected-node"] != ""
		if claim.Status.Phase != core.ClaimPending || class == nil || *class != "standard" || !placed {
			continue
		}
		name := "pvc-" + string(claim.UID)
		if _, err := w.view.volumes.Get(name); err == nil {
			continue
		}
		volume := &core.PersistentVolume{
			ObjectMeta: meta.ObjectMeta{Name: name, Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": provisioner}},
			Spec: core.PersistentVolumeSpec{
				Capacity:                      core.ResourceList{core.ResourceStorage: claim.Spec.Resources.Requests[core.ResourceStorage]},
				AccessModes:                   claim.Spec.AccessModes,
				StorageClassName:              *class,
				PersistentVolumeReclaimPolicy: core.PersistentVolumeReclaimDelete,
				ClaimRef: &core.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: claim.Namespace,
					Name: claim.Name, UID: claim.UID},
				PersistentVolumeSource: core.PersistentVolumeSource{HostPath: &core.HostPathVolumeSource{Path: "/sandbox/" + name}},
			},
		}
		if _, err := w.kube.CoreV1().PersistentVolumes().Create(ctx, volume, meta.CreateOptions{}); err != nil {
			return err
		}
	}
	volumes, _ := w.view.volumes.List(labels.Everything())
	for _, volume := range volumes {
		if volume.Status.Phase == core.VolumeReleased && volume.DeletionTimestamp == nil {
			if err := w.kube.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, meta.DeleteOptions{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// assignAddresses does what the Tailscale operator does once a proxy has its certificate: the hostname is the first
// label of the TLS host on the tailnet.
func (w *world) assignAddresses(ctx context.Context) error {
	for _, ingress := range w.view.everyIngress() {
		class := ingress.Spec.IngressClassName
		if class == nil || *class != "tailscale" || len(ingress.Status.LoadBalancer.Ingress) > 0 || len(ingress.Spec.TLS) == 0 {
			continue
		}
		changed := ingress.DeepCopy()
		changed.Status.LoadBalancer.Ingress = []networking.IngressLoadBalancerIngress{{
			Hostname: fmt.Sprintf("%s.%s", ingress.Spec.TLS[0].Hosts[0], tailnet),
			Ports:    []networking.IngressPortStatus{{Port: 443, Protocol: core.ProtocolTCP}},
		}}
		if _, err := w.kube.NetworkingV1().Ingresses(ingress.Namespace).UpdateStatus(ctx, changed, meta.UpdateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) keepQuota(ctx context.Context) error {
	fault, on := w.fault("quota")
	if !on {
		return nil
	}
	namespace := fault.Target
	if namespace == "" {
		namespace = "monitoring"
	}
	if _, err := w.view.namespaces.Get(namespace); err != nil {
		return nil
	}
	_, err := w.kube.CoreV1().ResourceQuotas(namespace).Create(ctx, quotaWithoutPods(namespace), meta.CreateOptions{})
	return err
}
