package podstages

import (
	"slices"

	core "k8s.io/api/core/v1"
)

// ScriptOf gives the script of a container with the command `sh -c`, in a pod that ends: a pod with restartPolicy Always
// runs its scenario instead.
func ScriptOf(pod *core.Pod, container core.Container) (string, bool) {
	line := slices.Concat(container.Command, container.Args)
	if pod.Spec.RestartPolicy == core.RestartPolicyAlways || len(container.Command) == 0 || len(line) < 3 {
		return "", false
	}
	isShell := (line[0] == "sh" || line[0] == "/bin/sh") && line[1] == "-c"
	return line[2], isShell
}

func IsScripted(pod *core.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Containers, func(container core.Container) bool {
		_, scripted := ScriptOf(pod, container)
		return scripted
	})
}
