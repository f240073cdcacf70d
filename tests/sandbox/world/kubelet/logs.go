package kubelet

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/podstages"
)

// Logs are the lines that the containers of simulated pods have written by their scenarios.
type Logs struct {
	mutex      sync.Mutex
	containers map[containerKey]*containerLog
}

type containerKey struct {
	Pod  types.UID
	Name string
}

// containerLog is the log of the present and of the previous instance of a container.
type containerLog struct{ current, previous []Line }

type Line struct {
	At   time.Time
	Text string
}

// write adds a stage's log to the containers of the stage; a restart of a container begins a new log.
func (l *Logs) write(before, after *core.Pod, stage *podstages.Stage, at time.Time) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	subjects := map[string]core.Container{}
	for _, subject := range stage.Subjects(after) {
		subjects[subject.Name] = subject
	}
	restarts := map[string]int32{}
	for _, status := range cluster.ContainerStatuses(before) {
		restarts[status.Name] = status.RestartCount
	}
	for _, status := range cluster.ContainerStatuses(after) {
		key := containerKey{after.UID, status.Name}
		written := l.containers[key]
		if written != nil && status.RestartCount > restarts[status.Name] {
			written.current, written.previous = nil, written.current
		}
		subject, ok := subjects[status.Name]
		if !ok || stage.Log == "" {
			continue
		}
		written = l.of(key)
		text := strings.TrimSuffix(podstages.Rendered(stage.Log, podstages.TemplateValues(after, subject, status.RestartCount)), "\n")
		for _, line := range strings.Split(text, "\n") {
			written.current = append(written.current, Line{at, line})
		}
	}
}

// add adds a line to what the present instance of a container has written.
func (l *Logs) add(pod *core.Pod, container, line string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	written := l.of(containerKey{pod.UID, container})
	written.current = append(written.current, Line{time.Now(), line})
}

func (l *Logs) of(key containerKey) *containerLog {
	if l.containers == nil {
		l.containers = map[containerKey]*containerLog{}
	}
	if l.containers[key] == nil {
		l.containers[key] = &containerLog{}
	}
	return l.containers[key]
}

// Written are the containers that have written something.
func (l *Logs) Written() []containerKey {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return slices.Collect(maps.Keys(l.containers))
}

// Read gives the lines of a container's present or previous instance.
func (l *Logs) Read(pod *core.Pod, container string, previous bool) []Line {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	written := l.containers[containerKey{pod.UID, container}]
	switch {
	case written == nil:
		return nil
	case previous:
		return written.previous
	default:
		return written.current
	}
}

func (l *Logs) forget(pod *core.Pod) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for key := range l.containers {
		if key.Pod == pod.UID {
			delete(l.containers, key)
		}
	}
}

func (l *Logs) clear() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.containers = nil
}
