// Package controllers models the controllers that are not Kubernetes' own: the volume provisioner and the Tailscale
// operator.
package controllers

import (
	"context"
	"log"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/sandbox"
)

// Run runs the controllers until the context ends.
func Run(ctx context.Context, c *cluster.Cluster) {
	volumes, ingresses := &volumeProvisioner{cluster: c}, &tailscaleOperator{cluster: c}
	sandbox.Every(ctx, 100*time.Millisecond, func() {
		for name, work := range map[string]func(context.Context) error{
			"volume provisioner": volumes.reconcile, "Tailscale operator": ingresses.reconcile,
			"quota": func(ctx context.Context) error { return createQuota(ctx, c) },
		} {
			if err := work(ctx); err != nil && ctx.Err() == nil && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
				log.Printf("%s: %v", name, err)
			}
		}
	})
}

// createQuota makes the ResourceQuota of the fault `quota` once its namespace exists.
func createQuota(ctx context.Context, c *cluster.Cluster) error {
	fault, on := c.Fault("quota")
	if !on {
		return nil
	}
	namespace := fault.Target
	if namespace == "" {
		namespace = "monitoring"
	}
	if _, err := c.Objects().Namespaces.Get(namespace); err != nil {
		return nil
	}
	_, err := c.Kube.CoreV1().ResourceQuotas(namespace).Create(ctx, quotaWithoutPods(namespace), meta.CreateOptions{})
	return err
}

// quotaWithoutPods allows no pod in a namespace.
func quotaWithoutPods(namespace string) *core.ResourceQuota {
	return &core.ResourceQuota{
		ObjectMeta: meta.ObjectMeta{Name: "sandbox-fault", Namespace: namespace, Labels: map[string]string{"sandbox": "fault"}},
		Spec:       core.ResourceQuotaSpec{Hard: core.ResourceList{core.ResourcePods: resource.MustParse("0")}},
	}
}

// backoff delays retries and events with a growing interval, as controllers do.
type backoff struct {
	due   time.Time
	pause time.Duration
}

func (r *backoff) isDue(now time.Time) bool {
	if now.Before(r.due) {
		return false
	}
	r.pause = min(max(time.Second, 2*r.pause), 15*time.Second)
	r.due = now.Add(r.pause)
	return true
}
