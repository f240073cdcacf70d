package kubelet

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/podstages"
	"tailwatch.dev/sandbox/world/sandbox"
	"tailwatch.dev/sandbox/world/shell"
)

// withoutShell are parts of the names of images without a shell; withoutWget, of images with a shell and without wget.
var (
	withoutShell = []string{"distroless", "oauth2-proxy", "kube-state-metrics", "prometheus-operator", "tailscale/k8s-operator"}
	withoutWget  = []string{"grafana/alloy"}
)

// lokiWithoutShell is the first version with an image without a shell.
var lokiWithoutShell = version.MustParseGeneric("3.5.8")

func hasShell(container core.Container) bool {
	if _, tag, ok := strings.Cut(container.Image, "grafana/loki:"); ok {
		number, err := version.ParseGeneric(tag)
		return err == nil && number.LessThan(lokiWithoutShell)
	}
	return !isAmong(withoutShell, container)
}

func isAmong(parts []string, container core.Container) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(container.Image, part) })
}

// restartDelay is the delay before a failed container is restarted.
const restartDelay = 10 * time.Second

// runScripts runs the scripts of a pod's containers until all have ended, and reports their exit codes.
func (k *Kubelet) runScripts(ctx context.Context, pod *core.Pod, healthy *podstages.Stage) {
	for {
		ended := &podstages.Stage{Containers: map[string]*podstages.ContainerState{}}
		var mutex sync.Mutex
		var all sync.WaitGroup
		for _, container := range pod.Spec.Containers {
			all.Go(func() {
				end := k.runScript(ctx, pod, container)
				mutex.Lock()
				defer mutex.Unlock()
				ended.Containers[container.Name] = &podstages.ContainerState{Terminated: end}
			})
		}
		all.Wait()
		if ctx.Err() != nil {
			return
		}
		if pod = k.apply(ctx, pod, ended); pod == nil || cluster.IsOver(pod) || !sandbox.Sleep(ctx, restartDelay) {
			return
		}
		if pod = k.apply(ctx, pod, healthy); pod == nil {
			return
		}
	}
}

func (k *Kubelet) runScript(ctx context.Context, pod *core.Pod, container core.Container) *core.ContainerStateTerminated {
	script, scripted := podstages.ScriptOf(pod, container)
	if !scripted {
		return &core.ContainerStateTerminated{}
	}
	if !hasShell(container) {
		return &core.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: "failed to create containerd task: " +
			`failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "` +
			container.Command[0] + `": executable file not found in $PATH`}
	}
	interpreter := shell.Shell{
		WithoutWget: isAmong(withoutWget, container),
		Print:       func(line string) { k.logs.add(pod, container.Name, line) },
		Get:         func(ctx context.Context, request shell.Request) (string, error) { return k.get(ctx, pod, request) },
	}
	return &core.ContainerStateTerminated{ExitCode: interpreter.Run(ctx, script)}
}
