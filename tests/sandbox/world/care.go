package main

import (
	"context"
	"log"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// care plays the controllers that a real cluster has beside Kubernetes' own: the volume provisioner and the Tailscale
// operator.
func (w *world) care(ctx context.Context) {
	volumes, tailnet := &volumeProvisioner{w: w}, &tailscaleOperator{w: w}
	every(ctx, 100*time.Millisecond, func() {
		for name, work := range map[string]func(context.Context) error{
			"volumes": volumes.work, "ingress": tailnet.work, "quota": w.keepQuota,
		} {
			if err := work(ctx); err != nil && ctx.Err() == nil && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
				log.Printf("%s: %v", name, err)
			}
		}
	})
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
	if _, err := w.view().namespaces.Get(namespace); err != nil {
		return nil
	}
	_, err := w.kube.CoreV1().ResourceQuotas(namespace).Create(ctx, quotaWithoutPods(namespace), meta.CreateOptions{})
	return err
}

// quotaWithoutPods lets no pod into a namespace.
func quotaWithoutPods(namespace string) *core.ResourceQuota {
	return &core.ResourceQuota{
		ObjectMeta: meta.ObjectMeta{Name: "sandbox-fault", Namespace: namespace, Labels: map[string]string{"sandbox": "fault"}},
		Spec:       core.ResourceQuotaSpec{Hard: core.ResourceList{core.ResourcePods: resource.MustParse("0")}},
	}
}

// reminder says when something is to be tried or told again: ever more rarely, as controllers do.
type reminder struct {
	due   time.Time
	pause time.Duration
}

func (r *reminder) isDue(now time.Time) bool {
	if now.Before(r.due) {
		return false
	}
	r.pause = min(max(time.Second, 2*r.pause), 15*time.Second)
	r.due = now.Add(r.pause)
	return true
}
