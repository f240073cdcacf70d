package podstages

import (
	"fmt"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/sandbox"
)

// Status is the pod's status at this stage, as a kubelet would report it.
func (s *Stage) Status(pod *core.Pod, now time.Time) core.PodStatus {
	status := *pod.Status.DeepCopy()
	at := meta.NewTime(now)
	if status.StartTime == nil {
		status.StartTime = &at
	}
	initialized := s.initStatuses(pod, &status, at)
	status.ContainerStatuses = nil
	for _, container := range pod.Spec.Containers {
		entry, _ := stateOf(s.Containers, container.Name)
		if !initialized {
			entry = ContainerState{Waiting: &core.ContainerStateWaiting{Reason: "PodInitializing"}}
		}
		before := cluster.StatusOf(pod.Status.ContainerStatuses, container.Name)
		status.ContainerStatuses = append(status.ContainerStatuses, entry.status(pod, container, before, at))
	}
	status.Phase, status.Reason, status.Message = s.Phase, s.Reason, Rendered(s.Message, TemplateValues(pod, core.Container{}, 0))
	if status.Phase == "" {
		status.Phase = phase(pod.Spec.RestartPolicy, &status, initialized)
	}
	SetConditions(&status, initialized, at)
	return status
}

// initStatuses fills in the init containers and says whether all are done.
func (s *Stage) initStatuses(pod *core.Pod, status *core.PodStatus, at meta.Time) bool {
	initialized := true
	status.InitContainerStatuses = nil
	for _, container := range pod.Spec.InitContainers {
		before := cluster.StatusOf(pod.Status.InitContainerStatuses, container.Name)
		sidecar := container.RestartPolicy != nil && *container.RestartPolicy == core.ContainerRestartPolicyAlways
		entry, given := stateOf(s.InitContainers, container.Name)
		switch {
		case !initialized:
			entry = ContainerState{Waiting: &core.ContainerStateWaiting{Reason: "PodInitializing"}}
		case !given && !sidecar:
			entry = ContainerState{Terminated: &core.ContainerStateTerminated{}}
		}
		after := entry.status(pod, container, before, at)
		completed := after.State.Terminated != nil && after.State.Terminated.ExitCode == 0
		if sidecar {
			completed = after.Started != nil && *after.Started
		} else {
			after.Ready = completed
		}
		initialized = initialized && completed
		status.InitContainerStatuses = append(status.InitContainerStatuses, after)
	}
	return initialized
}

// status of one container after its previous status.
func (e ContainerState) status(pod *core.Pod, container core.Container, before core.ContainerStatus, at meta.Time) core.ContainerStatus {
	ran := before.State.Terminated != nil || (before.State.Waiting != nil && before.LastTerminationState.Terminated != nil)
	if ran && e.Waiting == nil && e.Terminated == nil && e.Restarts == 0 {
		e.Restarts = 1
	}
	words := TemplateValues(pod, container, before.RestartCount+e.Restarts)
	after := core.ContainerStatus{Name: container.Name, Image: container.Image, RestartCount: before.RestartCount + e.Restarts}
	began := at
	if before.State.Running != nil {
		began = before.State.Running.StartedAt
	}
	ended := func(given core.ContainerStateTerminated, restarts int32) *core.ContainerStateTerminated {
		given.Message = Rendered(given.Message, words)
		if given.Reason == "" && given.ExitCode == 0 {
			given.Reason = "Completed"
		} else if given.Reason == "" {
			given.Reason = "Error"
		}
		given.StartedAt, given.FinishedAt, given.ContainerID = began, at, containerID(pod, container, restarts)
		return &given
	}
	after.LastTerminationState = before.LastTerminationState
	switch last := before.State.Terminated; {
	case e.LastTerminated != nil:
		instance := after.RestartCount
		if e.Waiting == nil {
			instance = max(0, instance-1)
		}
		after.LastTerminationState.Terminated = ended(*e.LastTerminated, instance)
	case last != nil && e.Terminated == nil:
		after.LastTerminationState.Terminated = last
	case e.Restarts > 0 && before.State.Running != nil:
		after.LastTerminationState.Terminated = ended(core.ContainerStateTerminated{ExitCode: 1}, before.RestartCount)
	}
	switch {
	case e.Waiting != nil:
		after.State.Waiting = &core.ContainerStateWaiting{Reason: e.Waiting.Reason, Message: Rendered(e.Waiting.Message, words)}
	case e.Terminated != nil && before.State.Terminated != nil && e.Restarts == 0 && before.State.Terminated.ExitCode == e.Terminated.ExitCode:
		after.State = before.State
	case e.Terminated != nil:
		after.State.Terminated = ended(*e.Terminated, after.RestartCount)
	default:
		if e.Restarts > 0 {
			began = at
		}
		after.State.Running = &core.ContainerStateRunning{StartedAt: began}
	}
	running := after.State.Running != nil
	started := running && (e.Started == nil || *e.Started)
	after.Ready = started && (e.Ready == nil || *e.Ready)
	after.Started = &started
	if running || after.State.Terminated != nil || after.LastTerminationState.Terminated != nil {
		after.ContainerID = containerID(pod, container, after.RestartCount)
		after.ImageID = container.Image
	}
	return after
}

func containerID(pod *core.Pod, container core.Container, restarts int32) string {
	return "containerd://" + sandbox.Hash(string(pod.UID), container.Name, fmt.Sprint(restarts))
}

// phase follows from the containers by the kubelet's rules.
func phase(policy core.RestartPolicy, status *core.PodStatus, initialized bool) core.PodPhase {
	if !initialized {
		for _, container := range status.InitContainerStatuses {
			if ended := container.State.Terminated; ended != nil && ended.ExitCode != 0 && policy == core.RestartPolicyNever {
				return core.PodFailed
			}
		}
		return core.PodPending
	}
	waiting, running, ended, succeeded := 0, 0, 0, 0
	for _, container := range status.ContainerStatuses {
		switch {
		case container.State.Running != nil:
			running++
		case container.State.Terminated != nil:
			ended++
			if container.State.Terminated.ExitCode == 0 {
				succeeded++
			}
		case container.LastTerminationState.Terminated != nil:
			ended++
		default:
			waiting++
		}
	}
	switch {
	case waiting > 0:
		return core.PodPending
	case running > 0 || policy == core.RestartPolicyAlways:
		return core.PodRunning
	case ended == succeeded:
		return core.PodSucceeded
	case policy == core.RestartPolicyNever:
		return core.PodFailed
	default:
		return core.PodRunning
	}
}

// Initialized says whether all init containers are done.
func Initialized(status *core.PodStatus) bool {
	return !slices.ContainsFunc(status.InitContainerStatuses, func(container core.ContainerStatus) bool { return !container.Ready })
}

// SetConditions derives the pod's conditions from its containers.
func SetConditions(status *core.PodStatus, initialized bool, at meta.Time) {
	set := func(kind core.PodConditionType, holds bool, reason, message string) {
		condition := core.PodCondition{Type: kind, Status: core.ConditionFalse, Reason: reason, Message: message, LastTransitionTime: at}
		if holds {
			condition.Status, condition.Reason, condition.Message = core.ConditionTrue, "", ""
		}
		for index, before := range status.Conditions {
			if before.Type == kind {
				if before.Status == condition.Status {
					condition.LastTransitionTime = before.LastTransitionTime
				}
				status.Conditions[index] = condition
				return
			}
		}
		status.Conditions = append(status.Conditions, condition)
	}
	incomplete, unready := []string{}, []string{}
	for _, container := range status.InitContainerStatuses {
		if !container.Ready {
			incomplete = append(incomplete, container.Name)
		}
	}
	for _, container := range status.ContainerStatuses {
		if !container.Ready {
			unready = append(unready, container.Name)
		}
	}
	reason, message := "ContainersNotReady", fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " "))
	switch status.Phase {
	case core.PodSucceeded:
		reason, message = "PodCompleted", ""
	case core.PodFailed:
		reason, message = "PodFailed", ""
	}
	ready := initialized && len(unready) == 0 && status.Phase == core.PodRunning
	set(core.PodReadyToStartContainers, HasSandbox(status), "", "")
	set(core.PodInitialized, initialized, "ContainersNotInitialized", fmt.Sprintf("containers with incomplete status: [%s]", strings.Join(incomplete, " ")))
	set(core.PodReady, ready, reason, message)
	set(core.ContainersReady, ready, reason, message)
}

// HasSandbox: a pod has an address once a container is past ContainerCreating.
func HasSandbox(status *core.PodStatus) bool {
	for _, container := range append(append([]core.ContainerStatus{}, status.InitContainerStatuses...), status.ContainerStatuses...) {
		if waiting := container.State.Waiting; waiting == nil || (waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing") {
			return true
		}
	}
	return false
}
