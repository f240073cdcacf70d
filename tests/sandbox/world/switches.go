package main

import (
	"context"
	"fmt"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// switchFault turns one fault on or off; off without a target ends every fault of the kind.
func (w *world) switchFault(ctx context.Context, fault Fault, on bool) error {
	before := w.faults()
	faults := without(before, fault)
	if on {
		faults = with(before, fault)
	}
	if err := w.setFaults(faults); err != nil {
		return err
	}
	err := w.applyFaults(ctx, fault.Kind, on)
	if err != nil && on {
		// What could not be switched on is not on.
		_ = w.setFaults(before)
	}
	return err
}

// applyFaults brings the world to the faults that are on, one of this kind having been switched.
func (w *world) applyFaults(ctx context.Context, kind string, on bool) error {
	switch kind {
	case "api-down":
		if on {
			w.child("kube-apiserver").stop()
			return nil
		}
		return w.recoverFromOutage(ctx)
	case "controllers-down":
		if on {
			w.stopControllers()
			return nil
		}
		return w.startControllers()
	case "unschedulable", "node-not-ready", "no-storage-class", "quota":
		return w.applyClusterFaults(ctx)
	case "network", "logs", "metrics", "grafana", "door":
		w.backends.adapt(ctx)
		return nil
	default:
		return w.applyPodFaults()
	}
}

func (w *world) applyPodFaults() error {
	faults, err := w.podFaults()
	if err != nil {
		return err
	}
	w.kubelet.switchTo(faults)
	return nil
}

// applyClusterFaults brings the objects that faults change to what is switched on.
func (w *world) applyClusterFaults(ctx context.Context) error {
	if err := w.applyNodeFaults(ctx); err != nil {
		return err
	}
	_, without := w.fault("no-storage-class")
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"%t"}}}`, defaultClass, !without)
	if _, err := w.kube.StorageV1().StorageClasses().Patch(ctx, "standard", types.MergePatchType, patch, meta.PatchOptions{}); err != nil {
		return err
	}
	if _, on := w.fault("quota"); !on {
		quotas, err := w.kube.CoreV1().ResourceQuotas("").List(ctx, meta.ListOptions{LabelSelector: "sandbox=fault"})
		if err != nil {
			return err
		}
		for _, quota := range quotas.Items {
			if err := w.kube.CoreV1().ResourceQuotas(quota.Namespace).Delete(ctx, quota.Name, meta.DeleteOptions{}); err != nil {
				return err
			}
		}
	}
	return nil
}
