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

// A course is what the simulated kubelet lets a pod go through: a YAML list of stages, played in their order.
//
// - name: pull-fails               # for `next`
//   after: 300ms                   # since the stage before; at once where it is not given
//   when: { restarts: 3 }          # the stage is skipped unless all of this holds,
//   unless: { waiting: Failed }    # and skipped if all of this holds: waiting: REASON of some container, phase: PHASE,
//                                  # ready: BOOL, restarts: at least that many
//   containers:                    # by name, or "*" for those without an entry; all others run and are ready
//     web:
//       waiting: { reason: ErrImagePull, message: "failed to pull {{ .image }}" }
//                                  # or running: {}, or terminated: { reason: OOMKilled, exitCode: 137 }
//       lastTerminated: { reason: Error, exitCode: 1 }    # not needed after a stage with `terminated`
//       restarts: +1               # so many more; to run again after an end is one more without being told
//       ready: false
//       started: false
//   initContainers: {}             # the same; those without an entry have completed, and after one that has not
//                                  # completed all others wait
//   phase: Failed                  # where it is not given the phase follows from the containers
//   reason: Evicted                # of the pod, as is the message
//   message: "The node was low on resource: memory."
//   event: { type: Warning, reason: Failed, message: "…" }  # on the pod, by the kubelet; or a list of events
//   log: "…"                       # lines that the containers with an entry write, or all where none has one
//   next: pull-fails               # the stage that follows, where it is not the one below
// - healthy: true                  # the ordinary ready pod; without `after` it takes its ordinary time. After the last
//                                  # stage a ready pod of a Job completes, once its script has ended where its command
//                                  # is `sh -c` (see shell.go); every other pod stays as it is
//
// Texts are Go templates over image, container, pod, namespace, uid, node and restarts; those of an event are about the
// first of the containers that would write a log. A course plays from a pod's first moment on. A pod that is ready when
// the course is switched on is hit only if the first stage is a healthy one: it then goes on from there.

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

// Scenario is a list of stages; the id tells whether a pod's course has changed.
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
		return errors.New("a healthy stage says nothing of containers and phase")
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
				return fmt.Errorf("container %s: nothing is said of it", name)
			}
			states := 0
			for _, given := range []bool{entry.Waiting != nil, entry.Running != nil, entry.Terminated != nil} {
				if given {
					states++
				}
			}
			if states > 1 {
				return fmt.Errorf("container %s: it is one of waiting, running, terminated", name)
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

// From gives the first stage at or after an index whose guards hold, or -1.
func (c *Scenario) From(index int, pod *core.Pod) int {
	for ; index < len(c.Stages); index++ {
		stage := c.Stages[index]
		if (stage.When == nil || stage.When.holds(pod)) && (stage.Unless == nil || !stage.Unless.holds(pod)) {
			return index
		}
	}
	return -1
}

// Following gives the stage after the one at an index, or -1.
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

// stateOf gives what the stage says of a container; the zero entry is one that runs and is ready.
func stateOf(entries map[string]*ContainerState, name string) (ContainerState, bool) {
	if found := entries[name]; found != nil {
		return *found, true
	}
	if found := entries["*"]; found != nil {
		return *found, true
	}
	return ContainerState{}, false
}

// Subjects are the containers that the stage is about: those it has entries for, or all where it has none.
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

// TemplateValues are what a stage's texts may name.
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

// Rendered is for texts that were checked when their course was read.
func Rendered(text string, words map[string]any) string {
	text, _ = render(text, words)
	return text
}

// Delay says how long the kubelet takes before it plays the stage.
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
