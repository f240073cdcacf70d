package cluster

import (
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func IsReady(pod *core.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == core.PodReady {
			return condition.Status == core.ConditionTrue
		}
	}
	return false
}

// AppName is the name that charts give a pod.
func AppName(pod *core.Pod) string {
	if name := pod.Labels["app.kubernetes.io/name"]; name != "" {
		return name
	}
	return pod.Labels["k8s-app"]
}

func containerPort(pod *core.Pod, entry core.ServicePort) (int, bool) {
	name := entry.TargetPort.StrVal
	if name == "" {
		if number := entry.TargetPort.IntValue(); number != 0 {
			return number, true
		}
		return int(entry.Port), true
	}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == name {
				return int(port.ContainerPort), true
			}
		}
	}
	return 0, false
}

func Declares(pod *core.Pod, port int) bool {
	for _, container := range pod.Spec.Containers {
		for _, declared := range container.Ports {
			if int(declared.ContainerPort) == port {
				return true
			}
		}
	}
	return false
}

func IsUp(node *core.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == core.NodeReady {
			return condition.Status == core.ConditionTrue
		}
	}
	return false
}

func Container(pod *core.Pod, name string) *core.Container {
	for index := range pod.Spec.Containers {
		if pod.Spec.Containers[index].Name == name {
			return &pod.Spec.Containers[index]
		}
	}
	return nil
}

func ContainerStatuses(pod *core.Pod) []core.ContainerStatus {
	return append(append([]core.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...)
}

func StatusOf(statuses []core.ContainerStatus, name string) core.ContainerStatus {
	for _, status := range statuses {
		if status.Name == name {
			return status
		}
	}
	return core.ContainerStatus{}
}

func IsOver(pod *core.Pod) bool {
	return pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
}

func OwnerKind(pod *core.Pod) string {
	if owner := meta.GetControllerOf(pod); owner != nil {
		return owner.Kind
	}
	return ""
}

const NetworkNotReady = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"
