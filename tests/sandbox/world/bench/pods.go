package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// seenPod has the moments at which the bench saw the states of a pod; zero: not seen.
type seenPod struct {
	name                         string
	created, ready, imageFailure time.Time
}

// podEvent is an event of a watch on pods.
type podEvent struct {
	Object struct {
		Metadata struct{ Name string }
		Status   struct {
			Conditions                               []struct{ Type, Status string }
			ContainerStatuses, InitContainerStatuses []containerStatus
		}
	}
}

type containerStatus struct {
	State struct{ Waiting struct{ Reason string } }
}

// podWatch follows the pods of the namespace.
type podWatch struct {
	stop  context.CancelFunc
	mutex sync.Mutex
	pods  map[string]*seenPod
}

func watchPods(s *sandbox) (*podWatch, error) {
	ctx, stop := context.WithCancel(context.Background())
	w := &podWatch{stop: stop, pods: map[string]*seenPod{}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server+"/api/v1/namespaces/"+namespace+"/pods?watch=1", nil)
	if err != nil {
		return nil, err
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("a watch on pods: %s", answer.Status)
	}
	go func() {
		defer answer.Body.Close()
		events := json.NewDecoder(answer.Body)
		for {
			var event podEvent
			if events.Decode(&event) != nil {
				return
			}
			w.note(event, time.Now())
		}
	}()
	return w, nil
}

func (w *podWatch) note(event podEvent, at time.Time) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	name, status := event.Object.Metadata.Name, event.Object.Status
	pod := w.pods[name]
	if pod == nil {
		pod = &seenPod{name: name, created: at}
		w.pods[name] = pod
	}
	for _, condition := range status.Conditions {
		if condition.Type == "Ready" && condition.Status == "True" && pod.ready.IsZero() {
			pod.ready = at
		}
	}
	for _, container := range slices.Concat(status.InitContainerStatuses, status.ContainerStatuses) {
		reason := container.State.Waiting.Reason
		if (reason == "ErrImagePull" || reason == "ImagePullBackOff") && pod.imageFailure.IsZero() {
			pod.imageFailure = at
		}
	}
}

// createdSince gives the pods that were created since a moment.
func (w *podWatch) createdSince(moment time.Time) []seenPod {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var found []seenPod
	for _, pod := range w.pods {
		if !pod.created.Before(moment) {
			found = append(found, *pod)
		}
	}
	return found
}

// firstFailure is when a pod showed that its image cannot be pulled; zero: none did.
func (w *podWatch) firstFailure() time.Time {
	var first time.Time
	for _, pod := range w.createdSince(time.Time{}) {
		if !pod.imageFailure.IsZero() && (first.IsZero() || pod.imageFailure.Before(first)) {
			first = pod.imageFailure
		}
	}
	return first
}
