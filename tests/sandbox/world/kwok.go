package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The simulated kubelets. Which stages a pod goes through follows from the pace and from the faults that are on; a
// change of either writes the file anew and restarts kwok, which then goes on from what the API server has.

const stageHead = `---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: { name: %s }
spec:
  resourceRef: { apiGroup: v1, kind: %s }
  selector:
    matchExpressions:
%s
`

const nodeReady = `  next:
    statusTemplate: |
      {{ $now := Now }}
      conditions:
      {{ range NodeConditions }}
      - { type: {{ .type | Quote }}, status: {{ .status | Quote }}, reason: {{ .reason | Quote }}, message: {{ .message | Quote }}, lastHeartbeatTime: {{ $now | Quote }}, lastTransitionTime: {{ $now | Quote }} }
      {{ end }}
      addresses:
      - { type: InternalIP, address: {{ index .metadata.annotations "sandbox/address" | Quote }} }
      - { type: Hostname, address: {{ .metadata.name | Quote }} }
      daemonEndpoints: { kubeletEndpoint: { Port: {{ NodePort }} } }
      allocatable: { cpu: "32", memory: 128Gi, pods: "250" }
      capacity: { cpu: "32", memory: 128Gi, pods: "250" }
      nodeInfo: { architecture: amd64, operatingSystem: linux, kubeletVersion: v1.36.1, containerRuntimeVersion: "containerd://2.1.0", kernelVersion: "6.12.0", osImage: sandbox, bootID: "", machineID: "", systemUUID: "", kubeProxyVersion: "" }
      phase: Running
`

// Addresses of a pod, and when it began. A pod keeps the address it has: a kwok that was restarted would give another.
const podPlace = `      {{ with NodeIPsWith .spec.nodeName }}
      hostIP: {{ index . 0 | Quote }}
      {{ end }}
      {{ if not .status.podIP }}
      {{ with PodIPsWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) }}
      podIP: {{ index . 0 | Quote }}
      podIPs: [ { ip: {{ index . 0 | Quote }} } ]
      {{ end }}
      {{ end }}
      startTime: {{ $now | Quote }}
`

// conditions of a pod whose containers are or are not ready.
func conditions(ready string) string {
	text := "      conditions:\n      - { type: Initialized, status: \"True\", lastTransitionTime: {{ $now | Quote }} }\n"
	for _, kind := range []string{"Ready", "ContainersReady"} {
		text += fmt.Sprintf("      - { type: %s, status: %q, lastTransitionTime: {{ $now | Quote }} }\n", kind, ready)
	}
	return text
}

const initDone = `      initContainerStatuses:
      {{ range .spec.initContainers }}
      - { name: {{ .name | Quote }}, image: {{ .image | Quote }}, ready: true, restartCount: 0, state: { terminated: { exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }} } } }
      {{ end }}
`

func containers(ready bool, state string) string {
	return fmt.Sprintf(`      containerStatuses:
      {{ range .spec.containers }}
      - { name: {{ .name | Quote }}, image: {{ .image | Quote }}, ready: %t, restartCount: {{ $restarts }}, %s }
      {{ end }}
`, ready, state)
}

func next(restarts string, parts ...string) string {
	return "  next:\n    statusTemplate: |\n      {{ $now := Now }}\n      {{ $restarts := " + restarts + " }}\n" + strings.Join(parts, "")
}

func expression(key, operator string, values ...string) string {
	text := fmt.Sprintf("    - { key: '%s', operator: %s", key, operator)
	if len(values) > 0 {
		text += ", values: [" + strings.Join(values, ", ") + "]"
	}
	return text + " }\n"
}

func stage(name, kind, selector, rest string) string {
	return fmt.Sprintf(stageHead, name, kind, strings.TrimRight(selector, "\n")) + rest
}

func delay(milliseconds, upTo int) string {
	return fmt.Sprintf("  delay: { durationMilliseconds: %d, jitterDurationMilliseconds: %d }\n", milliseconds, upTo)
}

// podFaults are the faults that kwok plays.
var podFaults = []string{"image-pull", "crash-loop", "never-ready"}

func (s *Sandbox) stages() string {
	alive := expression(".metadata.deletionTimestamp", "DoesNotExist") +
		expression(`.status.phase`, "NotIn", "Succeeded", "Failed") +
		expression(`.status.conditions.[] | select( .type == "Ready" ) | .status`, "NotIn", `"True"`)
	text := stage("node-ready", "Node", expression(`.status.conditions.[] | select( .type == "Ready" ) | .status`, "NotIn", `"True"`), nodeReady)
	healthy := alive
	for _, kind := range podFaults {
		fault, on := s.fault(kind)
		if !on {
			continue
		}
		hit := ".metadata.namespace"
		condition := expression(hit, "NotIn", "kube-system")
		if fault.Target != "" {
			hit = fmt.Sprintf(`.metadata.name | startswith("%s") | tostring`, fault.Target)
			condition = expression(hit, "In", `"true"`)
			healthy += expression(hit, "NotIn", `"true"`)
		} else {
			healthy += expression(hit, "In", "kube-system")
		}
		text += faultStage(kind, alive+condition)
	}
	pace := delay(100, 400)
	if _, slow := s.fault("slow-start"); slow || s.Slow {
		pace = delay(6000, 15000)
	}
	running := `state: { running: { startedAt: {{ $now | Quote }} } }`
	text += stage("pod-ready", "Pod", healthy,
		pace+next("0", conditions("True"), initDone, containers(true, running), podPlace, "      phase: Running\n"))
	jobPace := delay(50, 100)
	if s.Slow {
		jobPace = delay(1500, 1500)
	}
	done := `state: { terminated: { exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }} } }`
	text += stage("pod-complete", "Pod",
		expression(".metadata.deletionTimestamp", "DoesNotExist")+expression(".status.phase", "In", "Running")+
			expression(".metadata.ownerReferences.[].kind", "In", "Job"),
		jobPace+next("0", conditions("False"), containers(false, done), "      phase: Succeeded\n"))
	return text + stage("pod-delete", "Pod", expression(".metadata.deletionTimestamp", "Exists"), "  next: { delete: true }\n")
}

func faultStage(kind, selector string) string {
	switch kind {
	case "image-pull":
		waiting := `state: { waiting: { reason: ImagePullBackOff, message: {{ printf "Back-off pulling image %s" .image | Quote }} } }`
		return stage(kind, "Pod", selector+expression(".status.containerStatuses.[].state.waiting.reason", "DoesNotExist"),
			delay(200, 300)+next("0", conditions("False"), initDone, containers(false, waiting), podPlace, "      phase: Pending\n"))
	case "crash-loop":
		waiting := `state: { waiting: { reason: CrashLoopBackOff, message: "back-off restarting failed container" } }, lastState: { terminated: { exitCode: 1, reason: Error, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }} } }`
		restarts := `add 1 (or (index (or .status.containerStatuses (list (dict "restartCount" 0))) 0).restartCount 0)`
		return stage(kind, "Pod", selector,
			delay(700, 900)+next(restarts, conditions("False"), initDone, containers(false, waiting), podPlace, "      phase: Running\n"))
	default:
		running := `state: { running: { startedAt: {{ $now | Quote }} } }`
		return stage(kind, "Pod", selector+expression(".status.phase", "NotIn", "Running"),
			delay(200, 300)+next("0", conditions("False"), initDone, containers(false, running), podPlace, "      phase: Running\n"))
	}
}

// forwards sends the API server's port-forward of a simulated pod to the process that stands for it.
func (s *Sandbox) forwards() string {
	text := "---\napiVersion: kwok.x-k8s.io/v1alpha1\nkind: ClusterPortForward\nmetadata: { name: backends }\nspec:\n  forwards:\n"
	for _, row := range [][2]int{
		{9090, s.Ports.Prometheus}, {9093, s.Ports.Alertmanager}, {3000, s.Ports.Grafana}, {3100, s.Ports.Loki},
		{12345, s.Ports.Alloy}, {4180, s.Ports.Door}, {44180, s.Ports.DoorMetrics},
	} {
		text += fmt.Sprintf("  - { ports: [%d], target: { address: 127.0.0.1, port: %d } }\n", row[0], row[1])
	}
	return text
}

// restartKwok lets changed stages take effect at once: a new kwok takes a node over only when the lease of the one
// before it has run out.
func (w *world) restartKwok(ctx context.Context) error {
	w.child("kwok").stop()
	leases := w.kube.CoordinationV1().Leases("kube-node-lease")
	if err := leases.DeleteCollection(ctx, meta.DeleteOptions{}, meta.ListOptions{}); err != nil {
		return err
	}
	return w.startKwok()
}

func (w *world) startKwok() error {
	if err := os.WriteFile(w.path("kwok.yaml"), []byte(w.stages()+w.forwards()), 0o600); err != nil {
		return err
	}
	return w.run("kwok", w.binary("kwok"), "--kubeconfig="+w.path("kubeconfig"), "--config="+w.path("kwok.yaml"),
		"--manage-all-nodes", "--node-lease-duration-seconds=40", "--cidr="+podRange, "--node-ip=10.2.0.254", "--node-name=localhost",
		fmt.Sprintf("--node-port=%d", w.Ports.Kubelet), "--server-address="+loopback(w.Ports.Kubelet),
		"--tls-cert-file="+w.path("pki", "kubelet.crt"), "--tls-private-key-file="+w.path("pki", "kubelet.key"))
}
