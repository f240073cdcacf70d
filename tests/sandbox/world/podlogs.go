package main

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// podLogs are what the containers of simulated pods have written by their courses.
type podLogs struct {
	mutex      sync.Mutex
	containers map[containerKey]*containerLog
}

type containerKey struct {
	pod  types.UID
	name string
}

// containerLog is what the present instance of a container wrote, and the one before it.
type containerLog struct{ current, previous []logLine }

type logLine struct {
	at   time.Time
	text string
}

// write adds a stage's log to the containers that the stage has entries for; one that was started again starts again.
func (l *podLogs) write(before, after *core.Pod, stage *stage, at time.Time) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	subjects := map[string]core.Container{}
	for _, subject := range stage.subjects(after) {
		subjects[subject.Name] = subject
	}
	restarts := map[string]int32{}
	for _, status := range everyContainer(before) {
		restarts[status.Name] = status.RestartCount
	}
	for _, status := range everyContainer(after) {
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
		text := strings.TrimSuffix(rendered(stage.Log, words(after, subject, status.RestartCount)), "\n")
		for _, line := range strings.Split(text, "\n") {
			written.current = append(written.current, logLine{at, line})
		}
	}
}

// add adds a line to what the present instance of a container has written.
func (l *podLogs) add(pod *core.Pod, container, line string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	written := l.of(containerKey{pod.UID, container})
	written.current = append(written.current, logLine{time.Now(), line})
}

func (l *podLogs) of(key containerKey) *containerLog {
	if l.containers == nil {
		l.containers = map[containerKey]*containerLog{}
	}
	if l.containers[key] == nil {
		l.containers[key] = &containerLog{}
	}
	return l.containers[key]
}

// written are the containers that have written something.
func (l *podLogs) written() []containerKey {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return slices.Collect(maps.Keys(l.containers))
}

// read gives the lines of a container's present or previous instance.
func (l *podLogs) read(pod *core.Pod, container string, previous bool) []logLine {
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

func (l *podLogs) forget(pod *core.Pod) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for key := range l.containers {
		if key.pod == pod.UID {
			delete(l.containers, key)
		}
	}
}

func (l *podLogs) clear() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.containers = nil
}
