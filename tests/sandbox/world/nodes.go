package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// downAnnotation marks a node that a fault keeps from being ready: kwok and the kubelet leave it alone.
const downAnnotation = "sandbox/down"

const nodeDownMessage = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"

func isUp(node *core.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == core.NodeReady {
			return condition.Status == core.ConditionTrue
		}
	}
	return false
}

func (w *world) awaitNodes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second+time.Duration(w.Nodes)*50*time.Millisecond)
	defer cancel()
	for {
		ready := 0
		for _, node := range w.view().nodes() {
			if isUp(node) {
				ready++
			}
		}
		if ready == w.Nodes {
			return nil
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return errors.New("the simulated nodes did not become ready in time")
		}
	}
}

// applyNodeFaults brings each node to what is switched on.
func (w *world) applyNodeFaults(ctx context.Context) error {
	_, unschedulable := w.fault("unschedulable")
	down := map[string]bool{}
	for _, fault := range w.faults() {
		if fault.Kind == "node-not-ready" {
			down[fault.Target] = true
		}
	}
	for name := range down {
		if _, err := w.view().nodeLister.Get(name); err != nil {
			return fmt.Errorf("there is no node %s", name)
		}
	}
	nodes := w.kube.CoreV1().Nodes()
	for _, node := range w.view().nodes() {
		_, marked := node.Annotations[downAnnotation]
		if node.Spec.Unschedulable != unschedulable || marked != down[node.Name] {
			mark := "null"
			if down[node.Name] {
				mark = `""`
			}
			patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%s}},"spec":{"unschedulable":%t}}`, downAnnotation, mark, unschedulable)
			if _, err := nodes.Patch(ctx, node.Name, types.MergePatchType, patch, meta.PatchOptions{}); err != nil {
				return err
			}
		}
		if down[node.Name] && isUp(node) {
			now := time.Now().UTC().Format(time.RFC3339)
			patch := fmt.Appendf(nil, `{"status":{"conditions":[{"type":"Ready","status":"False","reason":"KubeletNotReady","message":%q,"lastHeartbeatTime":%q,"lastTransitionTime":%q}]}}`,
				nodeDownMessage, now, now)
			if _, err := nodes.Patch(ctx, node.Name, types.StrategicMergePatchType, patch, meta.PatchOptions{}, "status"); err != nil {
				return err
			}
		}
	}
	return nil
}
