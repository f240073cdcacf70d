package controlplane

import (
	"context"
	"errors"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/sandbox"
)

// node is a ready node, as its kubelet registers it.
func (p *ControlPlane) node(number int) *core.Node {
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
			Addresses:       []core.NodeAddress{{Type: core.NodeInternalIP, Address: cluster.NodeAddress(number)}, {Type: core.NodeHostName, Address: name}},
			DaemonEndpoints: core.NodeDaemonEndpoints{KubeletEndpoint: core.DaemonEndpoint{Port: int32(p.Ports.Kubelet)}},
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

// AwaitControllers: the controllers create the ServiceAccount `default`, which every pod needs.
func (p *ControlPlane) AwaitControllers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		if _, err := p.Kube.CoreV1().ServiceAccounts("default").Get(ctx, "default", meta.GetOptions{}); err == nil {
			return nil
		}
		if !sandbox.Sleep(ctx, 50*time.Millisecond) {
			return errors.New("the controllers did not begin to work within 60 s")
		}
	}
}

// applyNodeFaults applies the active faults to each node.
func (p *ControlPlane) applyNodeFaults(ctx context.Context) error {
	_, unschedulable := p.Fault("unschedulable")
	down := map[string]bool{}
	for _, fault := range p.ActiveFaults() {
		if fault.Kind == "node-not-ready" {
			down[fault.Target] = true
		}
	}
	for name := range down {
		if _, err := p.Objects().Nodes.Get(name); err != nil {
			return fmt.Errorf("there is no node %s", name)
		}
	}
	for _, node := range p.Objects().AllNodes() {
		if node.Spec.Unschedulable != unschedulable {
			patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, unschedulable)
			if _, err := p.Kube.CoreV1().Nodes().Patch(ctx, node.Name, types.MergePatchType, patch, meta.PatchOptions{}); err != nil {
				return err
			}
		}
		if cluster.IsUp(node) == down[node.Name] {
			if err := p.setReady(ctx, node.Name, !down[node.Name]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *ControlPlane) setReady(ctx context.Context, node string, ready bool) error {
	status, reason, message := "True", "KubeletReady", "kubelet is posting ready status"
	if !ready {
		status, reason, message = "False", "KubeletNotReady", cluster.NetworkNotReady
	}
	now := time.Now().UTC().Format(time.RFC3339)
	patch := fmt.Appendf(nil, `{"status":{"conditions":[{"type":"Ready","status":%q,"reason":%q,"message":%q,"lastHeartbeatTime":%q,"lastTransitionTime":%q}]}}`,
		status, reason, message, now, now)
	_, err := p.Kube.CoreV1().Nodes().Patch(ctx, node, types.StrategicMergePatchType, patch, meta.PatchOptions{}, "status")
	return err
}
