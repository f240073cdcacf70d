package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const nodeDownMessage = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"

// node is one that its kubelet has registered, ready.
func (w *world) node(number int) *core.Node {
	name, now := fmt.Sprintf("node-%d", number), meta.Now()
	resources := core.ResourceList{
		core.ResourceCPU: resource.MustParse("32"), core.ResourceMemory: resource.MustParse("128Gi"), core.ResourcePods: resource.MustParse("250"),
	}
	node := &core.Node{
		ObjectMeta: meta.ObjectMeta{Name: name, Labels: map[string]string{
			"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name,
			"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64",
		}},
		Status: core.NodeStatus{
			Addresses:       []core.NodeAddress{{Type: core.NodeInternalIP, Address: nodeAddress(number)}, {Type: core.NodeHostName, Address: name}},
			DaemonEndpoints: core.NodeDaemonEndpoints{KubeletEndpoint: core.DaemonEndpoint{Port: int32(w.Ports.Kubelet)}},
			Capacity:        resources,
			Allocatable:     resources,
			NodeInfo: core.NodeSystemInfo{
				Architecture: "amd64", OperatingSystem: "linux", KubeletVersion: "v1.36.1", ContainerRuntimeVersion: "containerd://2.1.0",
				KernelVersion: "6.12.0", OSImage: "sandbox",
			},
		},
	}
	for _, row := range []core.NodeCondition{
		{Type: core.NodeReady, Status: core.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"},
		{Type: core.NodeMemoryPressure, Status: core.ConditionFalse, Reason: "KubeletHasSufficientMemory", Message: "kubelet has sufficient memory available"},
		{Type: core.NodeDiskPressure, Status: core.ConditionFalse, Reason: "KubeletHasNoDiskPressure", Message: "kubelet has no disk pressure"},
		{Type: core.NodePIDPressure, Status: core.ConditionFalse, Reason: "KubeletHasSufficientPID", Message: "kubelet has sufficient PID available"},
	} {
		row.LastHeartbeatTime, row.LastTransitionTime = now, now
		node.Status.Conditions = append(node.Status.Conditions, row)
	}
	return node
}

func isUp(node *core.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == core.NodeReady {
			return condition.Status == core.ConditionTrue
		}
	}
	return false
}

// awaitControllers: there is a ServiceAccount `default` once the controllers are at work, and no pod before.
func (w *world) awaitControllers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		if _, err := w.kube.CoreV1().ServiceAccounts("default").Get(ctx, "default", meta.GetOptions{}); err == nil {
			return nil
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return errors.New("the controllers did not begin to work within 60 s")
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
	for _, node := range w.view().nodes() {
		if node.Spec.Unschedulable != unschedulable {
			patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, unschedulable)
			if _, err := w.kube.CoreV1().Nodes().Patch(ctx, node.Name, types.MergePatchType, patch, meta.PatchOptions{}); err != nil {
				return err
			}
		}
		if isUp(node) == down[node.Name] {
			if err := w.setReady(ctx, node.Name, !down[node.Name]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) setReady(ctx context.Context, node string, ready bool) error {
	status, reason, message := "True", "KubeletReady", "kubelet is posting ready status"
	if !ready {
		status, reason, message = "False", "KubeletNotReady", nodeDownMessage
	}
	now := time.Now().UTC().Format(time.RFC3339)
	patch := fmt.Appendf(nil, `{"status":{"conditions":[{"type":"Ready","status":%q,"reason":%q,"message":%q,"lastHeartbeatTime":%q,"lastTransitionTime":%q}]}}`,
		status, reason, message, now, now)
	_, err := w.kube.CoreV1().Nodes().Patch(ctx, node, types.StrategicMergePatchType, patch, meta.PatchOptions{}, "status")
	return err
}
