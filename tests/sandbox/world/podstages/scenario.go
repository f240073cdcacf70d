// Package podstages models what a kubelet reports of a pod: the stages of its containers, the status that follows from
// them, and their durations.
package podstages

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"tailwatch.dev/sandbox/world/cluster"
)

// A scenario is a YAML list of the stages of a pod, applied in this order by the simulated kubelet.
//
// - name: pull-fails               # for `next`
//   after: 300ms                   # delay after the previous stage; default 0
//   when: { restarts: 3 }          # the stage is skipped unless all of these hold,
//   unless: { waiting: Failed }    # or if all of these hold: waiting: REASON of a container, phase: PHASE,
//                                  # ready: BOOL, restarts: minimum
//   containers:                    # by name, or "*" for all others; a container without an entry is ready
//     web:
//       waiting: { reason: ErrImagePull, message: "failed to pull {{ .image }}" }
//                                  # or running: {}, or terminated: { reason: OOMKilled, exitCode: 137 }
//       lastTerminated: { reason: Error, exitCode: 1 }    # not needed after a stage with `terminated`
//       restarts: +1               # added to the count; a start after a termination adds 1 by itself
//       ready: false
//       started: false
//   initContainers: {}             # the same; without an entry: completed; all later containers wait for one that
//                                  # is not completed
//   phase: Failed                  # default: derived from the containers
//   reason: Evicted                # reason and message of the pod
//   message: "The node was low on resource: memory."
//   event: { type: Warning, reason: Failed, message: "…" }  # of the kubelet, on the pod; or a list
//   log: "…"                       # written by the containers with an entry, or by all without any entry
//   next: pull-fails               # the following stage; default: the next of the list
// - healthy: true                  # a ready pod; `after` defaults to its start-up time. After the last stage a ready
//                                  # pod of a Job completes: with the command `sh -c` after its script has ended (see
//                                  # package shell). Every other pod keeps the last stage.
//
// Texts are Go templates over image, container, pod, namespace, uid, node and restarts; in an
// event, container is the first one that would write the log. A scenario starts with the pod. For a pod that is ready when
// the scenario is switched on it starts after the first stage, which must be a healthy one, or not at all.

type Stage struct {
	Name                       string
	After                      *meta.Duration
	When, Unless               *guard
	Containers, InitContainers map[string]*ContainerState
	Phase                      core.PodPhase
	Reason, Message            string
	Event                      EventList
	Log                        string
	Next                       string
	Healthy                    bool
}

type guard struct {
	Waiting  string
	Phase    core.PodPhase
	Ready    *bool
	Restarts int32
}

type ContainerState struct {
	Waiting        *core.ContainerStateWaiting
	Running        *core.ContainerStateRunning
	Terminated     *core.ContainerStateTerminated
	LastTerminated *core.ContainerStateTerminated
	Ready, Started *bool
	Restarts       int32
}

type stageEvent struct{ Type, Reason, Message string }

// EventList is one event or a list of them.
type EventList []stageEvent

func (l *EventList) UnmarshalJSON(text []byte) error {
	if strings.HasPrefix(string(text), "[") {
		return json.Unmarshal(text, (*[]stageEvent)(l))
	}
	var one stageEvent
	err := json.Unmarshal(text, &one)
	*l = EventList{one}
	return err
}

// Scenario is a list of stages; pods with the same ID run the same scenario.
type Scenario struct {
	ID      string
	Stages  []Stage
	Startup startupTime
}

func ParseScenario(id, text string) (*Scenario, error) {
	c := &Scenario{ID: id}
	if err := yaml.UnmarshalStrict([]byte(text), &c.Stages); err != nil {
		return nil, err
	}
	if len(c.Stages) == 0 {
		return nil, errors.New("there is no stage")
	}
	for index, stage := range c.Stages {
		if err := c.check(stage); err != nil {
			return nil, fmt.Errorf("stage %d %s: %w", index+1, stage.Name, err)
		}
	}
	return c, nil
}

func (c *Scenario) check(s Stage) error {
	if s.Next != "" && c.find(s.Next) < 0 {
		return fmt.Errorf("next: there is no stage %q", s.Next)
	}
	if s.Healthy && (len(s.Containers) > 0 || len(s.InitContainers) > 0 || s.Phase != "") {
		return errors.New("a healthy stage has no containers and no phase")
	}
	texts := []string{s.Message, s.Log}
	for _, event := range s.Event {
		if event.Reason == "" || (event.Type != core.EventTypeNormal && event.Type != core.EventTypeWarning) {
			return errors.New("an event has a reason, and a type that is Normal or Warning")
		}
		texts = append(texts, event.Message)
	}
	for _, entries := range []map[string]*ContainerState{s.Containers, s.InitContainers} {
		for name, entry := range entries {
			if entry == nil {
				return fmt.Errorf("container %s: the entry is empty", name)
			}
			states := 0
			for _, given := range []bool{entry.Waiting != nil, entry.Running != nil, entry.Terminated != nil} {
				if given {
					states++
				}
			}
			if states > 1 {
				return fmt.Errorf("container %s: only one of waiting, running, terminated is allowed", name)
			}
			if entry.Waiting != nil {
				texts = append(texts, entry.Waiting.Message)
			}
			for _, ended := range []*core.ContainerStateTerminated{entry.Terminated, entry.LastTerminated} {
				if ended != nil {
					texts = append(texts, ended.Message)
				}
			}
		}
	}
	for _, text := range texts {
		if _, err := render(text, TemplateValues(&core.Pod{}, core.Container{}, 0)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Scenario) find(name string) int {
	for index, stage := range c.Stages {
		if stage.Name == name {
			return index
		}
	}
	return -1
}

// From returns the index of the first stage at or after an index with guards that hold, or -1.
func (c *Scenario) From(index int, pod *core.Pod) int {
	for ; index < len(c.Stages); index++ {
		stage := c.Stages[index]
		if (stage.When == nil || stage.When.holds(pod)) && (stage.Unless == nil || !stage.Unless.holds(pod)) {
			return index
		}
	}
	return -1
}

// Following gives the index of the stage after the one at an index: -1 if there is none.
func (c *Scenario) Following(index int, pod *core.Pod) int {
	if next := c.Stages[index].Next; next != "" {
		return c.From(c.find(next), pod)
	}
	return c.From(index+1, pod)
}

func (g *guard) holds(pod *core.Pod) bool {
	waits, restarts := g.Waiting == "", int32(0)
	for _, status := range cluster.ContainerStatuses(pod) {
		waits = waits || (status.State.Waiting != nil && status.State.Waiting.Reason == g.Waiting)
		restarts = max(restarts, status.RestartCount)
	}
	return waits && restarts >= g.Restarts && (g.Phase == "" || g.Phase == pod.Status.Phase) &&
		(g.Ready == nil || *g.Ready == cluster.IsReady(pod))
}

// stateOf gives the state of a container in the stage; the zero value is running and ready.
func stateOf(entries map[string]*ContainerState, name string) (ContainerState, bool) {
	if found := entries[name]; found != nil {
		return *found, true
	}
	if found := entries["*"]; found != nil {
		return *found, true
	}
	return ContainerState{}, false
}

// Subjects are the containers with an entry in the stage, or all without any entry.
func (s *Stage) Subjects(pod *core.Pod) []core.Container {
	subjects := []core.Container{}
	for _, row := range []struct {
		containers []core.Container
		entries    map[string]*ContainerState
	}{{pod.Spec.InitContainers, s.InitContainers}, {pod.Spec.Containers, s.Containers}} {
		for _, container := range row.containers {
			if _, ok := stateOf(row.entries, container.Name); ok {
				subjects = append(subjects, container)
			}
		}
	}
	if len(subjects) == 0 {
		return pod.Spec.Containers
	}
	return subjects
}

// TemplateValues are the values of the templates.
func TemplateValues(pod *core.Pod, container core.Container, restarts int32) map[string]any {
	return map[string]any{
		"image": container.Image, "container": container.Name, "pod": pod.Name, "namespace": pod.Namespace,
		"uid": string(pod.UID), "node": pod.Spec.NodeName, "restarts": restarts,
	}
}

func render(text string, words map[string]any) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	parsed, err := template.New("text").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var rendered strings.Builder
	err = parsed.Execute(&rendered, words)
	return rendered.String(), err
}

// Rendered renders a text that ParseScenario has checked.
func Rendered(text string, words map[string]any) string {
	text, _ = render(text, words)
	return text
}

// Delay is the time before the stage begins.
func (s *Stage) Delay(pod *core.Pod, pace startupTime) time.Duration {
	switch {
	case s.After != nil:
		return s.After.Duration
	case s.Healthy:
		return pace.untilReady(pod)
	default:
		return 0
	}
}
