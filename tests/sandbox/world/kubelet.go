package main

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
)

// kubelet plays the kubelets of all nodes: every pod that the scheduler places goes through its course, and pods that
// are to go go at once. It acts by what the API server has, so it goes on where an API server that was away left off.
type kubelet struct {
	w         *world
	addresses addresses
	logs      podLogs

	mutex   sync.Mutex
	ctx     context.Context
	players map[types.UID]*player
	faults  podFaults
}

// player is one pod on its way through a course.
type player struct {
	course *course
	stop   context.CancelFunc
}

func newKubelet(w *world) *kubelet {
	return &kubelet{w: w, players: map[types.UID]*player{}}
}

// begin lets the kubelet act on a new control plane until the context ends.
func (k *kubelet) begin(ctx context.Context) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.ctx, k.players = ctx, map[types.UID]*player{}
	k.logs.clear()
}

// watch lets the kubelet act by this view.
func (k *kubelet) watch(view *view) error {
	if _, err := view.nodeInformer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, after any) {
			if isUp(after.(*core.Node)) && !isUp(before.(*core.Node)) {
				k.recover(after.(*core.Node).Name)
			}
		},
	}); err != nil {
		return err
	}
	_, err := view.podInformer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { k.see(object.(*core.Pod)) },
		UpdateFunc: func(_, object any) { k.see(object.(*core.Pod)) },
		DeleteFunc: func(object any) {
			if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = last.Obj
			}
			k.forget(object.(*core.Pod))
		},
	})
	return err
}

// see takes up a pod that is new to the kubelet, and ends what is to end.
func (k *kubelet) see(pod *core.Pod) {
	if pod.Spec.NodeName == "" {
		return
	}
	k.addresses.use(pod)
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if k.ctx.Err() != nil {
		return
	}
	known := k.players[pod.UID]
	switch {
	case pod.DeletionTimestamp != nil:
		if known == nil || known.course != nil {
			k.replace(pod, nil, func(ctx context.Context) { k.end(ctx, pod) })
		}
	case known == nil && !isOver(pod):
		k.take(pod)
	}
}

// take starts a pod on the course that it has by the present faults.
func (k *kubelet) take(pod *core.Pod) {
	course := k.faults.course(pod)
	first := course.from(0, pod)
	if isReady(pod) {
		if course.stages[0].Healthy {
			first = course.following(0, pod)
		} else {
			first = -1
		}
	}
	k.replace(pod, course, func(ctx context.Context) { k.play(ctx, pod, course, first) })
}

// replace lets a pod do something else than it did until now.
func (k *kubelet) replace(pod *core.Pod, course *course, work func(context.Context)) {
	if known := k.players[pod.UID]; known != nil {
		known.stop()
	}
	ctx, stop := context.WithCancel(k.ctx)
	k.players[pod.UID] = &player{course: course, stop: stop}
	go work(ctx)
}

func (k *kubelet) forget(pod *core.Pod) {
	k.mutex.Lock()
	if known := k.players[pod.UID]; known != nil {
		known.stop()
		delete(k.players, pod.UID)
	}
	k.mutex.Unlock()
	k.addresses.release(pod)
	k.logs.forget(pod)
}

// switchTo gives every pod the course that it has by these faults.
func (k *kubelet) switchTo(faults podFaults) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.faults = faults
	if k.w.view() == nil {
		return
	}
	pods, _ := k.w.view().pods.List(labels.Everything())
	for _, pod := range pods {
		known := k.players[pod.UID]
		if known != nil && known.course != nil && known.course.id != faults.course(pod).id && !isOver(pod) {
			k.take(pod)
		}
	}
}

func isOver(pod *core.Pod) bool {
	return pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
}

// play lets a pod go through a course from a stage on.
func (k *kubelet) play(ctx context.Context, pod *core.Pod, course *course, at int) {
	for at >= 0 {
		stage := &course.stages[at]
		if !sleep(ctx, stage.wait(pod, course.pace)) {
			return
		}
		if pod = k.awaitNode(ctx, pod); pod == nil {
			return
		}
		if pod = k.apply(ctx, pod, stage); pod == nil || isOver(pod) {
			return
		}
		at = course.following(at, pod)
	}
	switch {
	case isReady(pod) && isScripted(pod):
		k.runScripts(ctx, pod, &stage{Healthy: true})
	case isReady(pod) && ownerKind(pod) == "Job" && sleep(ctx, course.pace.untilComplete()):
		k.apply(ctx, pod, &completed)
	}
}

// awaitNode holds a pod up while its node is not ready.
func (k *kubelet) awaitNode(ctx context.Context, pod *core.Pod) *core.Pod {
	for told := false; ; told = true {
		if node, err := k.w.view().nodeLister.Get(pod.Spec.NodeName); err != nil || isUp(node) {
			return pod
		}
		if !told && len(pod.Status.ContainerStatuses) == 0 {
			if pod = k.apply(ctx, pod, &withoutNetwork); pod == nil {
				return nil
			}
		}
		if !sleep(ctx, 200*time.Millisecond) {
			return nil
		}
	}
}

var withoutNetwork = stage{
	Containers:     map[string]*containerEntry{"*": {Waiting: &core.ContainerStateWaiting{Reason: "ContainerCreating"}}},
	InitContainers: map[string]*containerEntry{"*": {Waiting: &core.ContainerStateWaiting{Reason: "PodInitializing"}}},
	Event:          eventList{{core.EventTypeWarning, "NetworkNotReady", "network is not ready: " + nodeDownMessage}},
}

// recover reports the pods of a node that is ready again as they are: while it was not, the node controller has called
// them unready.
func (k *kubelet) recover(node string) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	pods, _ := k.w.view().pods.List(labels.Everything())
	for _, pod := range pods {
		if pod.Spec.NodeName == node && len(pod.Status.ContainerStatuses) > 0 && !isOver(pod) && pod.DeletionTimestamp == nil {
			go k.report(k.ctx, pod, func(pod *core.Pod) {
				setConditions(&pod.Status, initialized(&pod.Status), meta.Now())
			})
		}
	}
}

var completed = stage{Containers: map[string]*containerEntry{"*": {Terminated: &core.ContainerStateTerminated{}}}}

func ownerKind(pod *core.Pod) string {
	if owner := meta.GetControllerOf(pod); owner != nil {
		return owner.Kind
	}
	return ""
}

// sleep says whether the time passed before the context ended.
func sleep(ctx context.Context, duration time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(duration):
		return true
	}
}

// apply brings a pod to a stage and gives the pod as it then is: nil if it is gone.
func (k *kubelet) apply(ctx context.Context, pod *core.Pod, stage *stage) *core.Pod {
	var before *core.Pod
	now := time.Now()
	after := k.report(ctx, pod, func(pod *core.Pod) {
		before = pod.DeepCopy()
		pod.Status = stage.status(pod, now)
		k.place(pod)
	})
	if after != nil {
		k.logs.write(before, after, stage, now)
		k.record(after, stage)
	}
	return after
}

// report changes a pod's status, however long the API server takes.
func (k *kubelet) report(ctx context.Context, pod *core.Pod, change func(*core.Pod)) *core.Pod {
	for {
		changed := pod.DeepCopy()
		change(changed)
		after, err := k.w.kube.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, changed, meta.UpdateOptions{})
		switch {
		case ctx.Err() != nil || apierrors.IsNotFound(err):
			return nil
		case err == nil:
			return after
		case apierrors.IsInvalid(err):
			log.Printf("pod %s/%s cannot become what its course says: %v", pod.Namespace, pod.Name, err)
			return nil
		case !apierrors.IsConflict(err):
			// An API server that does not answer is nothing to tell.
			if apierrors.ReasonForError(err) != meta.StatusReasonUnknown {
				log.Printf("pod %s/%s: %v", pod.Namespace, pod.Name, err)
			}
			if !sleep(ctx, 500*time.Millisecond) {
				return nil
			}
		}
		fresh, err := k.w.kube.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, meta.GetOptions{})
		if err == nil && fresh.UID == pod.UID {
			pod = fresh
		} else if err == nil || apierrors.IsNotFound(err) {
			return nil
		}
	}
}

// place gives a pod its addresses. It keeps the one it has.
func (k *kubelet) place(pod *core.Pod) {
	node := k.w.view().nodeAddress(pod.Spec.NodeName)
	pod.Status.HostIP, pod.Status.HostIPs = node, []core.HostIP{{IP: node}}
	if pod.Status.PodIP != "" || !hasSandbox(&pod.Status) {
		return
	}
	address := node
	if !pod.Spec.HostNetwork {
		address = k.addresses.take()
	}
	pod.Status.PodIP, pod.Status.PodIPs = address, []core.PodIP{{IP: address}}
}

// record emits the stage's events.
func (k *kubelet) record(pod *core.Pod, stage *stage) {
	if len(stage.Event) == 0 {
		return
	}
	subject := stage.subjects(pod)[0]
	path := "spec.containers{" + subject.Name + "}"
	if container(pod, subject.Name) == nil {
		path = "spec.initContainers{" + subject.Name + "}"
	}
	status := core.ContainerStatus{}
	for _, each := range everyContainer(pod) {
		if each.Name == subject.Name {
			status = each
		}
	}
	recorder := k.w.recorder("kubelet", pod.Spec.NodeName)
	for _, event := range stage.Event {
		about := &core.ObjectReference{
			APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
		}
		if aboutContainers[event.Reason] {
			about.FieldPath = path
		}
		recorder.Event(about, event.Type, event.Reason, rendered(event.Message, words(pod, subject, status.RestartCount)))
	}
}

// aboutContainers are the reasons of the events that a kubelet emits on a container of the pod, not on the pod.
var aboutContainers = map[string]bool{
	"Pulling": true, "Pulled": true, "Failed": true, "BackOff": true, "InspectFailed": true, "ErrImageNeverPull": true,
	"Created": true, "Started": true, "Killing": true, "Unhealthy": true, "ProbeWarning": true,
}

// end removes a pod that is to go, as a kubelet does once its containers have ended.
func (k *kubelet) end(ctx context.Context, pod *core.Pod) {
	now := int64(0)
	options := meta.DeleteOptions{GracePeriodSeconds: &now, Preconditions: meta.NewUIDPreconditions(string(pod.UID))}
	for {
		err := k.w.kube.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, options)
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || !sleep(ctx, 500*time.Millisecond) {
			return
		}
	}
}
