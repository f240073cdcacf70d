// Package backends starts and stops the processes and servers that answer for pods. Each takes its configuration from the
// objects in the cluster, never from a file of its own: a wrong value of an installation has the effect that it has in a
// pod.
package backends

import (
	"context"
	"fmt"
	"log"
	"slices"
	"sync"
	"time"

	core "k8s.io/api/core/v1"

	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/sandbox"
)

// Supervisor reconciles the backends with the objects in the cluster.
type Supervisor struct {
	cluster  *cluster.Cluster
	mutex    sync.Mutex
	backends []*Backend
}

// Process is a backend that was started.
type Process interface {
	Running() bool
	Stop()
}

// Backend is one process or server that answers for pods.
type Backend struct {
	Name string
	// Desired gives the process to run: nil for none. It is restarted if the fingerprint changes.
	Desired func(*cluster.Objects) *Desired
	// Refresh applies configuration that needs no restart.
	Refresh func(*cluster.Objects)
	// AwaitReady waits until a restarted backend answers.
	AwaitReady func(context.Context)

	fingerprint string
	current     Process
	err         error
	retry       time.Time
}

// Desired is the process for the present objects.
type Desired struct {
	Fingerprint string
	Start       func() (Process, error)
}

func NewSupervisor(c *cluster.Cluster, backends ...*Backend) *Supervisor {
	return &Supervisor{cluster: c, backends: backends}
}

// Run reconciles the backends until the context ends.
func (s *Supervisor) Run(ctx context.Context) {
	objects, seen := s.cluster.Objects(), int64(-1)
	sandbox.Every(ctx, 150*time.Millisecond, func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		changes := objects.Changes.Load()
		for _, backend := range s.backends {
			if ctx.Err() == nil && (changes != seen || backend.isDue()) {
				backend.reconcile(s.cluster.Sandbox, objects)
			}
		}
		seen = changes
	})
}

// ApplyFaults reconciles every backend at once, and waits for restarted ones with AwaitReady.
func (s *Supervisor) ApplyFaults(ctx context.Context) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	objects := s.cluster.Objects()
	for _, backend := range s.backends {
		before := backend.fingerprint
		backend.reconcile(s.cluster.Sandbox, objects)
		if backend.AwaitReady != nil && backend.fingerprint != before && backend.current != nil {
			backend.AwaitReady(ctx)
		}
	}
}

// isDue: a backend ended, or its start is to be retried, although nothing has changed in the cluster.
func (b *Backend) isDue() bool {
	if b.current != nil {
		return !b.current.Running()
	}
	return !b.retry.IsZero() && time.Now().After(b.retry)
}

func (b *Backend) reconcile(s *sandbox.Sandbox, v *cluster.Objects) {
	desired := b.Desired(v)
	if desired == nil || desired.Fingerprint != b.fingerprint {
		if b.current != nil {
			b.current.Stop()
			b.current = nil
		}
		b.fingerprint, b.err, b.retry = "", nil, time.Time{}
	}
	if desired == nil {
		return
	}
	if b.current != nil && !b.current.Running() {
		// As a kubelet does with a container that ended.
		log.Printf("%s ended", b.Name)
		b.current, b.retry = nil, time.Now().Add(2*time.Second)
	}
	if b.current == nil && time.Now().After(b.retry) {
		b.fingerprint = desired.Fingerprint
		s.RotateLog(b.Name)
		if b.current, b.err = desired.Start(); b.err != nil {
			log.Printf("%s: %v", b.Name, b.err)
			s.Log(b.Name, "error", b.err.Error())
			b.current, b.retry = nil, time.Now().Add(2*time.Second)
		} else {
			log.Printf("%s started", b.Name)
			s.Log(b.Name, "info", "started")
		}
	}
	if b.current != nil && b.Refresh != nil {
		b.Refresh(v)
	}
}

// Stop ends every backend.
func (s *Supervisor) Stop() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, backend := range s.backends {
		if backend.current != nil {
			backend.current.Stop()
			backend.current, backend.fingerprint = nil, ""
		}
	}
}

// Describe lists the backends that run or cannot start, one per line.
func (s *Supervisor) Describe() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	text := ""
	for _, backend := range s.backends {
		switch {
		case backend.err != nil:
			text += fmt.Sprintf("  %-24s %v\n", backend.Name, backend.err)
		case backend.current != nil:
			text += fmt.Sprintf("  %-24s running\n", backend.Name)
		}
	}
	return text
}

// LogFile is the file with the log of the backend that answers for a container: empty if there is none.
func (s *Supervisor) LogFile(pod *core.Pod, container string) string {
	name := cluster.AppName(pod)
	switch {
	case name == cluster.PrometheusOperatorApp && container == pod.Spec.Containers[0].Name:
		name = "operator"
	case name != container || !slices.ContainsFunc(s.backends, func(b *Backend) bool { return b.Name == name }):
		return ""
	}
	return s.cluster.Path("log", name+".log")
}
