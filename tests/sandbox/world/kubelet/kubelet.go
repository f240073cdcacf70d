// Package kubelet models the kubelets of all nodes: pod status, events, logs, port-forwards and scripts.
package kubelet

import (
	"context"
	"log"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/network"
	"tailwatch.dev/sandbox/world/podstages"
	"tailwatch.dev/sandbox/world/sandbox"
)

// Kubelet is the kubelets of all nodes: every scheduled pod runs its scenario, and a deleted pod is removed at once. The
// state is in the API server, so an outage of the API server only delays it.
type Kubelet struct {
	network   *network.Network
	addresses addresses
	logs      Logs
	pulls     pulls
	// output gives the log of the backend that answers for a container: empty if there is none.
	output func(pod *core.Pod, container string) ([]string, error)

	mutex  sync.Mutex
	ctx    context.Context
	runs   map[types.UID]*podRun
	faults podstages.Faults
}

// podRun is one pod that runs a scenario.
type podRun struct {
	scenario *podstages.Scenario
	stop     context.CancelFunc
}

// New gives kubelets that take the log of a container with a backend from output.
func New(n *network.Network, output func(*core.Pod, string) ([]string, error)) *Kubelet {
	return &Kubelet{network: n, addresses: addresses{network: n.World.Network.Pods}, pulls: pulls{bandwidth: n.ImageBandwidth}, output: output, runs: map[types.UID]*podRun{}}
}

// Logs are what the containers have written by their stages.
func (k *Kubelet) Logs() *Logs { return &k.logs }

// Start begins with a new control plane, until the context ends.
func (k *Kubelet) Start(ctx context.Context) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.ctx, k.runs = ctx, map[types.UID]*podRun{}
	k.pulls.forget()
	k.logs.clear()
}

// Watch follows pods and nodes by the handlers of this cache.
func (k *Kubelet) Watch(objects *cluster.Objects) error {
	if _, err := objects.NodeInformer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, after any) {
			if cluster.IsUp(after.(*core.Node)) && !cluster.IsUp(before.(*core.Node)) {
				k.recover(after.(*core.Node).Name)
			}
		},
	}); err != nil {
		return err
	}
	_, err := objects.PodInformer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { k.sync(object.(*core.Pod)) },
		UpdateFunc: func(_, object any) { k.sync(object.(*core.Pod)) },
		DeleteFunc: func(object any) {
			if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = last.Obj
			}
			k.remove(object.(*core.Pod))
		},
	})
	return err
}

// sync starts the scenario of a new pod, and removes a deleted one.
func (k *Kubelet) sync(pod *core.Pod) {
	if pod.Spec.NodeName == "" {
		return
	}
	k.addresses.use(pod)
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if k.ctx.Err() != nil {
		return
	}
	known := k.runs[pod.UID]
	switch {
	case pod.DeletionTimestamp != nil:
		if known == nil || known.scenario != nil {
			k.replace(pod, nil, func(ctx context.Context) { k.end(ctx, pod) })
		}
	case known == nil && !cluster.IsOver(pod):
		k.assign(pod)
	}
}

// assign starts the scenario of a pod by the active faults.
func (k *Kubelet) assign(pod *core.Pod) {
	scenario := k.faults.Scenario(pod)
	first := scenario.From(0, pod)
	if cluster.IsReady(pod) {
		if scenario.Stages[0].Healthy {
			first = scenario.Following(0, pod)
		} else {
			first = -1
		}
	}
	k.replace(pod, scenario, func(ctx context.Context) { k.runScenario(ctx, pod, scenario, first) })
}

// replace stops the present work on a pod and starts another.
func (k *Kubelet) replace(pod *core.Pod, scenario *podstages.Scenario, work func(context.Context)) {
	if known := k.runs[pod.UID]; known != nil {
		known.stop()
	}
	ctx, stop := context.WithCancel(k.ctx)
	k.runs[pod.UID] = &podRun{scenario: scenario, stop: stop}
	go work(ctx)
}

func (k *Kubelet) remove(pod *core.Pod) {
	k.mutex.Lock()
	if known := k.runs[pod.UID]; known != nil {
		known.stop()
		delete(k.runs, pod.UID)
	}
	k.mutex.Unlock()
	k.addresses.release(pod)
	k.logs.forget(pod)
}

// SetFaults restarts every pod with a scenario that these faults change.
func (k *Kubelet) SetFaults(faults podstages.Faults) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.faults = faults
	if k.network.Objects() == nil {
		return
	}
	pods, _ := k.network.Objects().Pods.List(labels.Everything())
	for _, pod := range pods {
		known := k.runs[pod.UID]
		if known != nil && known.scenario != nil && known.scenario.ID != faults.Scenario(pod).ID && !cluster.IsOver(pod) {
			k.assign(pod)
		}
	}
}

// runScenario applies the stages of a scenario from an index.
func (k *Kubelet) runScenario(ctx context.Context, pod *core.Pod, scenario *podstages.Scenario, at int) {
	for at >= 0 {
		stage := &scenario.Stages[at]
		if stage.Healthy && !k.pulls.await(ctx, pod) {
			return
		}
		if !sandbox.Sleep(ctx, stage.Delay(pod, scenario.Startup)) {
			return
		}
		if pod = k.awaitNode(ctx, pod); pod == nil {
			return
		}
		if pod = k.apply(ctx, pod, stage); pod == nil || cluster.IsOver(pod) {
			return
		}
		at = scenario.Following(at, pod)
	}
	switch {
	case cluster.IsReady(pod) && podstages.IsScripted(pod):
		k.runScripts(ctx, pod, &podstages.Stage{Healthy: true})
	case cluster.IsReady(pod) && cluster.OwnerKind(pod) == "Job" && sandbox.Sleep(ctx, scenario.Startup.UntilComplete()):
		k.apply(ctx, pod, &completed)
	}
}

// awaitNode waits while the node of a pod is not ready.
func (k *Kubelet) awaitNode(ctx context.Context, pod *core.Pod) *core.Pod {
	for reported := false; ; reported = true {
		if node, err := k.network.Objects().Nodes.Get(pod.Spec.NodeName); err != nil || cluster.IsUp(node) {
			return pod
		}
		if !reported && len(pod.Status.ContainerStatuses) == 0 {
			if pod = k.apply(ctx, pod, &networkNotReady); pod == nil {
				return nil
			}
		}
		if !sandbox.Sleep(ctx, 200*time.Millisecond) {
			return nil
		}
	}
}

var networkNotReady = podstages.Stage{
	Containers:     map[string]*podstages.ContainerState{"*": {Waiting: &core.ContainerStateWaiting{Reason: "ContainerCreating"}}},
	InitContainers: map[string]*podstages.ContainerState{"*": {Waiting: &core.ContainerStateWaiting{Reason: "PodInitializing"}}},
	Event:          podstages.EventList{{Type: core.EventTypeWarning, Reason: "NetworkNotReady", Message: "network is not ready: " + cluster.NetworkNotReady}},
}

// recover reports the conditions of the pods of a node that is ready again: the node controller had set them to unready.
func (k *Kubelet) recover(node string) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	pods, _ := k.network.Objects().Pods.List(labels.Everything())
	for _, pod := range pods {
		if pod.Spec.NodeName == node && len(pod.Status.ContainerStatuses) > 0 && !cluster.IsOver(pod) && pod.DeletionTimestamp == nil {
			go k.report(k.ctx, pod, func(pod *core.Pod) {
				podstages.SetConditions(&pod.Status, podstages.Initialized(&pod.Status), meta.Now())
			})
		}
	}
}

var completed = podstages.Stage{Containers: map[string]*podstages.ContainerState{"*": {Terminated: &core.ContainerStateTerminated{}}}}

// apply writes the status of a stage and gives the updated pod: nil if it was deleted.
func (k *Kubelet) apply(ctx context.Context, pod *core.Pod, stage *podstages.Stage) *core.Pod {
	var before *core.Pod
	now := time.Now()
	after := k.report(ctx, pod, func(pod *core.Pod) {
		before = pod.DeepCopy()
		pod.Status = stage.Status(pod, now)
		k.place(pod)
	})
	if after != nil {
		k.logs.write(before, after, stage, now)
		k.record(after, stage)
	}
	return after
}

// report updates a pod's status, with retries while the API server does not answer.
func (k *Kubelet) report(ctx context.Context, pod *core.Pod, change func(*core.Pod)) *core.Pod {
	for {
		changed := pod.DeepCopy()
		change(changed)
		after, err := k.network.Kube.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, changed, meta.UpdateOptions{})
		switch {
		case ctx.Err() != nil || apierrors.IsNotFound(err):
			return nil
		case err == nil:
			return after
		case apierrors.IsInvalid(err):
			log.Printf("pod %s/%s cannot get the status of its scenario: %v", pod.Namespace, pod.Name, err)
			return nil
		case !apierrors.IsConflict(err):
			// An API server that does not answer is not logged.
			if apierrors.ReasonForError(err) != meta.StatusReasonUnknown {
				log.Printf("pod %s/%s: %v", pod.Namespace, pod.Name, err)
			}
			if !sandbox.Sleep(ctx, 500*time.Millisecond) {
				return nil
			}
		}
		fresh, err := k.network.Kube.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, meta.GetOptions{})
		if err == nil && fresh.UID == pod.UID {
			pod = fresh
		} else if err == nil || apierrors.IsNotFound(err) {
			return nil
		}
	}
}

// place sets the addresses of a pod; an address that it has is kept.
func (k *Kubelet) place(pod *core.Pod) {
	node := k.network.Objects().NodeAddress(pod.Spec.NodeName)
	pod.Status.HostIP, pod.Status.HostIPs = node, []core.HostIP{{IP: node}}
	if pod.Status.PodIP != "" || !podstages.HasSandbox(&pod.Status) {
		return
	}
	address := node
	if !pod.Spec.HostNetwork {
		address = k.addresses.allocate()
	}
	pod.Status.PodIP, pod.Status.PodIPs = address, []core.PodIP{{IP: address}}
}

// record emits the stage's events.
func (k *Kubelet) record(pod *core.Pod, stage *podstages.Stage) {
	if len(stage.Event) == 0 {
		return
	}
	subject := stage.Subjects(pod)[0]
	path := "spec.containers{" + subject.Name + "}"
	if cluster.Container(pod, subject.Name) == nil {
		path = "spec.initContainers{" + subject.Name + "}"
	}
	status := core.ContainerStatus{}
	for _, each := range cluster.ContainerStatuses(pod) {
		if each.Name == subject.Name {
			status = each
		}
	}
	recorder := k.network.Recorder("kubelet", pod.Spec.NodeName)
	for _, event := range stage.Event {
		about := &core.ObjectReference{
			APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
		}
		if containerReasons[event.Reason] {
			about.FieldPath = path
		}
		recorder.Event(about, event.Type, event.Reason, podstages.Rendered(event.Message, podstages.TemplateValues(pod, subject, status.RestartCount)))
	}
}

// containerReasons are the reasons of the events that a kubelet emits on a container of the pod, not on the pod.
var containerReasons = map[string]bool{
	"Pulling": true, "Pulled": true, "Failed": true, "BackOff": true, "InspectFailed": true, "ErrImageNeverPull": true,
	"Created": true, "Started": true, "Killing": true, "Unhealthy": true, "ProbeWarning": true,
}

// end removes a deleted pod, as a kubelet does after its containers have ended.
func (k *Kubelet) end(ctx context.Context, pod *core.Pod) {
	now := int64(0)
	options := meta.DeleteOptions{GracePeriodSeconds: &now, Preconditions: meta.NewUIDPreconditions(string(pod.UID))}
	for {
		err := k.network.Kube.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, options)
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || !sandbox.Sleep(ctx, 500*time.Millisecond) {
			return
		}
	}
}
