package main

import (
	"context"

	"tailwatch.dev/sandbox/world/podstages"
	"tailwatch.dev/sandbox/world/sandbox"
)

// setFault turns one fault on or off; off without a target ends every fault of the kind.
func (w *world) setFault(ctx context.Context, fault sandbox.Fault, on bool) error {
	before := w.ActiveFaults()
	faults := sandbox.Without(before, fault)
	if on {
		faults = sandbox.With(before, fault)
	}
	if err := w.SetFaults(faults); err != nil {
		return err
	}
	err := w.applyFaults(ctx, fault.Kind, on)
	if err != nil && on {
		// A fault that could not be applied is not active.
		_ = w.SetFaults(before)
	}
	return err
}

// applyFaults applies the active faults after one of this kind was switched.
func (w *world) applyFaults(ctx context.Context, kind string, on bool) error {
	switch kind {
	case "api-down":
		if on {
			w.controlPlane.StopAPI()
			return nil
		}
		return w.recoverFromOutage(ctx)
	case "controllers-down":
		if on {
			w.controlPlane.StopControllers()
			return nil
		}
		return w.controlPlane.StartControllers()
	case "unschedulable", "node-not-ready", "no-storage-class", "quota":
		return w.controlPlane.ApplyClusterFaults(ctx)
	case "network", "logs", "metrics", "grafana", "oauth2-proxy":
		w.supervisor.ApplyFaults(ctx)
		return nil
	default:
		return w.applyPodFaults()
	}
}

func (w *world) applyPodFaults() error {
	faults, err := podstages.NewFaults(w.Sandbox)
	if err != nil {
		return err
	}
	w.kubelet.SetFaults(faults)
	return nil
}
