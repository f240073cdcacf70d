package main

import (
	"context"

	core "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
)

// bringUp makes a new cluster and gives it what is switched on.
func (w *world) bringUp(ctx context.Context) error {
	life, stop := context.WithCancel(context.Background())
	w.stopLife = stop
	if err := w.startPlane(ctx); err != nil {
		return err
	}
	if err := w.makeObjects(ctx); err != nil {
		return err
	}
	if err := w.startControllers(); err != nil {
		return err
	}
	w.events = record.NewBroadcaster(record.WithContext(life))
	w.events.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: w.kube.CoreV1().Events("")})
	w.kubelet.begin(life)
	if err := w.applyPodFaults(); err != nil {
		return err
	}
	if err := w.look(life); err != nil {
		return err
	}
	if err := w.awaitControllers(ctx); err != nil {
		return err
	}
	if err := w.applyClusterFaults(ctx); err != nil {
		return err
	}
	for _, kind := range []string{"controllers-down", "api-down"} {
		if _, on := w.fault(kind); on {
			if err := w.applyFaults(ctx, kind, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// look watches the cluster, and lets those act who act by what they see.
func (w *world) look(life context.Context) error {
	if w.stopView != nil {
		w.stopView()
	}
	viewing, stop := context.WithCancel(life)
	w.stopView = stop
	view, err := newView(viewing, w.kube)
	if err != nil {
		return err
	}
	w.viewed.Store(view)
	if err := w.kubelet.watch(view); err != nil {
		return err
	}
	go w.care(viewing)
	go w.backends.keep(viewing)
	return nil
}

// view is what stands in the cluster: nil before there is one.
func (w *world) view() *view { return w.viewed.Load() }

// recoverFromOutage starts an API server again and what would else need half a minute to notice: whoever watches tries
// ever more rarely while there is none. Controllers lose their leases in an outage, so a real cluster has new ones too.
func (w *world) recoverFromOutage(ctx context.Context) error {
	if err := w.startAPI(); err != nil {
		return err
	}
	if err := w.awaitAPI(ctx); err != nil {
		return err
	}
	w.stopControllers()
	if _, down := w.fault("controllers-down"); !down {
		if err := w.startControllers(); err != nil {
			return err
		}
	}
	return w.look(w.kubelet.ctx)
}

// recorder emits events as a component of the cluster would.
func (w *world) recorder(component, node string) record.EventRecorder {
	return w.events.NewRecorder(scheme.Scheme, core.EventSource{Component: component, Host: node})
}

func (w *world) stopEverything() {
	if w.stopLife != nil {
		w.stopLife()
	}
	w.processes.kill()
	if w.backends != nil {
		w.backends.stop()
	}
}
