package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"
)

// scriptOf gives the script of a container whose command is a shell with one: of a pod that is meant to end, since
// what goes on for ever is played by its course.
func scriptOf(pod *core.Pod, container core.Container) (string, bool) {
	line := slices.Concat(container.Command, container.Args)
	if pod.Spec.RestartPolicy == core.RestartPolicyAlways || len(container.Command) == 0 || len(line) < 3 {
		return "", false
	}
	isShell := (line[0] == "sh" || line[0] == "/bin/sh") && line[1] == "-c"
	return line[2], isShell
}

func isScripted(pod *core.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Containers, func(container core.Container) bool {
		_, scripted := scriptOf(pod, container)
		return scripted
	})
}

// withoutShell are parts of the names of images that have no shell to run a script, withoutWget of those whose shell
// has no wget beside it.
var (
	withoutShell = []string{"distroless", "oauth2-proxy", "kube-state-metrics", "prometheus-operator", "tailscale/k8s-operator"}
	withoutWget  = []string{"grafana/alloy"}
)

// lokiWithoutShell is the first version whose image has none.
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

// again is how long the kubelet waits before it starts a container again that has failed.
const again = 10 * time.Second

// runScripts lets the containers of a running pod run their scripts until all have ended, and says by their exit codes
// how the pod ended.
func (k *kubelet) runScripts(ctx context.Context, pod *core.Pod, healthy *stage) {
	for {
		ended := &stage{Containers: map[string]*containerEntry{}}
		var mutex sync.Mutex
		var all sync.WaitGroup
		for _, container := range pod.Spec.Containers {
			all.Go(func() {
				end := k.runScript(ctx, pod, container)
				mutex.Lock()
				defer mutex.Unlock()
				ended.Containers[container.Name] = &containerEntry{Terminated: end}
			})
		}
		all.Wait()
		if ctx.Err() != nil {
			return
		}
		if pod = k.apply(ctx, pod, ended); pod == nil || isOver(pod) || !sleep(ctx, again) {
			return
		}
		if pod = k.apply(ctx, pod, healthy); pod == nil {
			return
		}
	}
}

func (k *kubelet) runScript(ctx context.Context, pod *core.Pod, container core.Container) *core.ContainerStateTerminated {
	script, scripted := scriptOf(pod, container)
	if !scripted {
		return &core.ContainerStateTerminated{}
	}
	if !hasShell(container) {
		return &core.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: "failed to create containerd task: " +
			`failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "` +
			container.Command[0] + `": executable file not found in $PATH`}
	}
	interpreter := shell{
		withoutWget: isAmong(withoutWget, container),
		print:       func(line string) { k.logs.add(pod, container.Name, line) },
		get:         func(ctx context.Context, request wgetRequest) (string, error) { return k.w.getFrom(ctx, pod, request) },
	}
	return &core.ContainerStateTerminated{ExitCode: interpreter.run(ctx, script)}
}
