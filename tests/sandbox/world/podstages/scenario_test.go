package podstages

import (
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tailwatch.dev/sandbox/world/cluster"
)

// web is a pod of one container, as the API server gives it before any kubelet has seen it.
func web() *core.Pod {
	return &core.Pod{
		ObjectMeta: meta.ObjectMeta{Name: "web-0", Namespace: "default", UID: "1"},
		Spec:       core.PodSpec{RestartPolicy: core.RestartPolicyAlways, Containers: []core.Container{{Name: "web", Image: "web:1"}}},
	}
}

// applyStages applies the stages of a scenario without delays, at most this many.
func applyStages(t *testing.T, pod *core.Pod, text string, most int) {
	t.Helper()
	scenario, err := ParseScenario("", text)
	if err != nil {
		t.Fatal(err)
	}
	for at := scenario.From(0, pod); at >= 0 && most > 0; most-- {
		pod.Status = scenario.Stages[at].Status(pod, time.Unix(1700000000, 0))
		at = scenario.Following(at, pod)
	}
}

func TestRestartsRiseInALoop(t *testing.T) {
	pod := web()
	applyStages(t, pod, `
- name: runs
  containers: { web: { running: {} } }
- containers: { web: { terminated: { reason: OOMKilled, exitCode: 137 } } }
- containers: { web: { waiting: { reason: CrashLoopBackOff } } }
  next: runs
`, 9)
	status := pod.Status.ContainerStatuses[0]
	if status.RestartCount != 2 || status.LastTerminationState.Terminated.Reason != "OOMKilled" || status.State.Waiting.Reason != "CrashLoopBackOff" {
		t.Errorf("%+v", status)
	}
	if pod.Status.Phase != core.PodRunning || cluster.IsReady(pod) {
		t.Errorf("%s, ready %t", pod.Status.Phase, cluster.IsReady(pod))
	}
}

func TestGuardsSkipStages(t *testing.T) {
	pod := web()
	applyStages(t, pod, `
- name: crashes
  unless: { restarts: 3 }
  containers: { "*": { waiting: { reason: CrashLoopBackOff }, restarts: +1, lastTerminated: { exitCode: 1 } } }
  next: crashes
- when: { restarts: 3 }
  healthy: true
`, 9)
	if status := pod.Status.ContainerStatuses[0]; status.RestartCount != 4 || !cluster.IsReady(pod) {
		t.Errorf("%+v", status)
	}
}

func TestContainersWaitForAnInitContainer(t *testing.T) {
	pod := web()
	pod.Spec.InitContainers = []core.Container{{Name: "one"}, {Name: "two"}, {Name: "three"}}
	applyStages(t, pod, `[{ initContainers: { two: { waiting: { reason: ImagePullBackOff } } } }]`, 1)
	reasons := []string{}
	for _, status := range cluster.ContainerStatuses(pod) {
		if status.State.Waiting != nil {
			reasons = append(reasons, status.Name+" "+status.State.Waiting.Reason)
		}
	}
	if shown := strings.Join(reasons, ", "); shown != "two ImagePullBackOff, three PodInitializing, web PodInitializing" || pod.Status.Phase != core.PodPending {
		t.Errorf("%s; %s", shown, pod.Status.Phase)
	}
}

func TestPhaseFollowsFromTheContainers(t *testing.T) {
	for _, row := range []struct {
		policy core.RestartPolicy
		state  string
		phase  core.PodPhase
	}{
		{core.RestartPolicyAlways, "waiting: { reason: ImagePullBackOff }", core.PodPending},
		{core.RestartPolicyAlways, "waiting: { reason: CrashLoopBackOff }, lastTerminated: { exitCode: 1 }", core.PodRunning},
		{core.RestartPolicyNever, "terminated: { exitCode: 1 }", core.PodFailed},
		{core.RestartPolicyNever, "terminated: { exitCode: 0 }", core.PodSucceeded},
		{core.RestartPolicyOnFailure, "terminated: { exitCode: 1 }", core.PodRunning},
		{core.RestartPolicyAlways, "ready: false", core.PodRunning},
	} {
		pod := web()
		pod.Spec.RestartPolicy = row.policy
		applyStages(t, pod, `[{ containers: { "*": { `+row.state+` } } }]`, 1)
		if pod.Status.Phase != row.phase {
			t.Errorf("%s, %s: %s", row.policy, row.state, pod.Status.Phase)
		}
	}
}

func TestInvalidScenariosAreRejected(t *testing.T) {
	for text, message := range map[string]string{
		`[]`:                                     "there is no stage",
		`[{ waits: 1s }]`:                        "waits",
		`[{ next: nowhere }]`:                    "nowhere",
		`[{ log: "{{ .host }}" }]`:               "host",
		`[{ event: { type: Loud, reason: X } }]`: "Normal or Warning",
		`[{ healthy: true, containers: { a: {} } }]`:              "has no containers and no phase",
		`[{ containers: { a: { waiting: { }, running: { } } } }]`: "only one of waiting",
	} {
		if _, err := ParseScenario("", text); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestBuiltinScenariosAreValid(t *testing.T) {
	entries, _ := scenarioFiles.ReadDir("scenarios")
	for _, entry := range entries {
		builtinScenario(strings.TrimSuffix(entry.Name(), ".yaml"))
	}
}
