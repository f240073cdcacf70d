// Package cluster gives the simulated components the clients of the API server, a cache of its objects, and events.
package cluster

import (
	"cmp"
	"context"
	"path/filepath"
	"sync/atomic"

	core "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"

	"tailwatch.dev/sandbox/world/process"
	"tailwatch.dev/sandbox/world/sandbox"
)

// Cluster is what the simulated components of one sandbox share: its clients, the objects in it, and its events.
type Cluster struct {
	*sandbox.Sandbox
	Processes    *process.Set
	Kube         *kubernetes.Clientset
	objectsCache atomic.Pointer[Objects]
	events       record.EventBroadcaster
}

// New connects as a user that the audit policy excludes.
func New(s *sandbox.Sandbox, processes *process.Set) (*Cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", s.Path("kubeconfig-components"))
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 2000, 4000
	kube, err := kubernetes.NewForConfig(config)
	return &Cluster{Sandbox: s, Processes: processes, Kube: kube}, err
}

// Objects gives the objects of the cluster: nil before the control plane has started.
func (c *Cluster) Objects() *Objects { return c.objectsCache.Load() }

// Watch replaces the cache of objects by a new one, which is fed until the context ends.
func (c *Cluster) Watch(ctx context.Context) (*Objects, error) {
	objects, err := newObjects(ctx, c.Kube)
	if err == nil {
		c.objectsCache.Store(objects)
	}
	return objects, err
}

// RecordEvents sends the events of simulated components to the API server until the context ends.
func (c *Cluster) RecordEvents(ctx context.Context) {
	c.events = record.NewBroadcaster(record.WithContext(ctx))
	c.events.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: c.Kube.CoreV1().Events("")})
}

// Recorder emits events as a component of the cluster would.
func (c *Cluster) Recorder(component, node string) record.EventRecorder {
	return c.events.NewRecorder(scheme.Scheme, core.EventSource{Component: component, Host: node})
}

// Binary is the path of a built program.
func (c *Cluster) Binary(name string) string {
	switch name {
	case "kube-apiserver", "kube-controller-manager", "kube-scheduler":
		return filepath.Join(cmp.Or(c.Parts.Kubernetes, c.Parts.Programs), name)
	case "alertmanager", "kube-state-metrics", "node_exporter":
		return filepath.Join(c.Parts.Monitoring, name)
	default:
		return filepath.Join(c.Parts.Programs, name)
	}
}

// StartProcess starts a built program as a child process; its output goes to log/NAME.log.
func (c *Cluster) StartProcess(name string, arguments, environment []string) (*process.Process, error) {
	return c.Processes.Start(c.Sandbox, name, c.Binary(name), arguments, environment)
}
