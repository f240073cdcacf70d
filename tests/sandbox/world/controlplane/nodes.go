package controlplane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/sandbox"
	"tailwatch.dev/sandbox/world/worlds"
)

// node is a node, as its kubelet registers it.
func (p *ControlPlane) node(number int, row worlds.NodeRow) *core.Node {
	name, now := row.Name, meta.Now()
	system, architecture := cmp.Or(row.OS, "linux"), cmp.Or(row.Arch, "amd64")
	resources := core.ResourceList{
		core.ResourceCPU: resource.MustParse("32"), core.ResourceMemory: resource.MustParse("128Gi"), core.ResourcePods: resource.MustParse("250"),
	}
	node := &core.Node{
		ObjectMeta: meta.ObjectMeta{Name: name, Labels: map[string]string{
			"kubernetes.io/os": system, "kubernetes.io/arch": architecture, "kubernetes.io/hostname": name,
			"beta.kubernetes.io/os": system, "beta.kubernetes.io/arch": architecture,
		}},
		Spec: core.NodeSpec{Unschedulable: row.Cordoned, Taints: row.Taints},
		Status: core.NodeStatus{
			Addresses:       []core.NodeAddress{{Type: core.NodeInternalIP, Address: p.NodeAddress(number)}, {Type: core.NodeHostName, Address: name}},
			DaemonEndpoints: core.NodeDaemonEndpoints{KubeletEndpoint: core.DaemonEndpoint{Port: int32(p.Ports.Kubelet)}},
			Capacity:        resources,
			Allocatable:     resources,
			NodeInfo: core.NodeSystemInfo{
				Architecture: architecture, OperatingSystem: system,
				KubeletVersion: cmp.Or(row.Kubelet, "v1.36.1"), ContainerRuntimeVersion: cmp.Or(row.Runtime, "containerd://2.1.0"),
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
	maps.Copy(node.Labels, row.Labels)
	if row.NotReady {
		node.Status.Conditions[0].Status = core.ConditionFalse
		node.Status.Conditions[0].Reason, node.Status.Conditions[0].Message = "KubeletNotReady", cluster.NetworkNotReady
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

// applyNodeFaults applies the active faults to each node, beside what its row says.
func (p *ControlPlane) applyNodeFaults(ctx context.Context) error {
	_, unschedulable := p.Fault("unschedulable")
	cordoned, down := map[string]bool{}, map[string]bool{}
	for _, row := range p.World.AllNodes() {
		cordoned[row.Name] = row.Cordoned || unschedulable
		if row.NotReady {
			down[row.Name] = true
		}
	}
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
		if node.Spec.Unschedulable != cordoned[node.Name] {
			patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, cordoned[node.Name])
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
