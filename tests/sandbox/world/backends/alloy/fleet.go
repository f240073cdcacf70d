// Package alloy models Alloy with the installed configuration: discovery, relabelling, sources, stages and loki.write.
package alloy

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"tailwatch.dev/sandbox/world/backends"
	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/httpserver"
	"tailwatch.dev/sandbox/world/kubelet"
	"tailwatch.dev/sandbox/world/network"
	"tailwatch.dev/sandbox/world/podstages"
	"tailwatch.dev/sandbox/world/sandbox"
)

// Fleet is the Alloys of all nodes. Each pod has a server that reads the installed configuration, and sends the log lines
// of its node to the URL of loki.write.
type Fleet struct {
	network   *network.Network
	logs      *kubelet.Logs
	mutex     sync.Mutex
	instances map[types.UID]*instance
	// refused are the pods with an invalid configuration, with the reported reason.
	refused map[types.UID]string
	// positions are stored on the nodes, by node and file, so a new pod continues from them.
	positions map[[2]string]int
	// nextHeartbeat is the index of the next pod that writes a heartbeat line.
	nextHeartbeat int
	stopRun       context.CancelFunc
	// reading serialises readAll and writeHeartbeats.
	reading sync.Mutex
}

// NewFleet reads the log lines that the kubelets keep.
func NewFleet(n *network.Network, logs *kubelet.Logs) *Fleet {
	return &Fleet{network: n, logs: logs, refused: map[types.UID]string{}, positions: map[[2]string]int{}}
}

// Backend runs the Alloys of all nodes.
func (f *Fleet) Backend() *backends.Backend {
	return &backends.Backend{Name: "alloy", Desired: f.desired, Refresh: func(v *cluster.Objects) { _ = f.sync(v) }}
}

func (f *Fleet) desired(v *cluster.Objects) *backends.Desired {
	if len(v.ReadyPods("alloy")) == 0 {
		return nil
	}
	return &backends.Desired{Fingerprint: "alloy", Start: func() (backends.Process, error) {
		f.mutex.Lock()
		f.instances = map[types.UID]*instance{}
		f.mutex.Unlock()
		err := f.sync(v)
		if len(f.instances) == 0 {
			return nil, err
		}
		ctx, stop := context.WithCancel(context.Background())
		f.stopRun = stop
		go sandbox.Every(ctx, 200*time.Millisecond, f.readAll)
		go sandbox.Every(ctx, 2*time.Second, f.writeHeartbeats)
		return f, nil
	}}
}

// Running: the fleet has no process that ends.
func (f *Fleet) Running() bool { return true }

// Stop ends the Alloy of every pod.
func (f *Fleet) Stop() {
	f.stopRun()
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for uid, instance := range f.instances {
		instance.server.Stop()
		delete(f.instances, uid)
	}
}

// sync starts a server for each new pod and stops those of deleted pods. A pod with an invalid configuration has no
// server.
func (f *Fleet) sync(v *cluster.Objects) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	ready := map[types.UID]bool{}
	var failure error
	for _, pod := range v.ReadyPods("alloy") {
		ready[pod.UID] = true
		if f.instances[pod.UID] != nil {
			continue
		}
		instance, err := f.start(v, pod)
		if err != nil {
			failure = err
			if f.refused[pod.UID] != err.Error() {
				f.network.Log("alloy", "error", err.Error())
				f.refused[pod.UID] = err.Error()
			}
			continue
		}
		f.instances[pod.UID] = instance
	}
	for uid, instance := range f.instances {
		if !ready[uid] {
			instance.server.Stop()
			delete(f.instances, uid)
		}
	}
	return failure
}

func (f *Fleet) start(v *cluster.Objects, pod *core.Pod) (*instance, error) {
	text, ok := v.MountedConfig(pod, "config.alloy")
	if !ok {
		return nil, errors.New("config.alloy is missing")
	}
	pipeline, err := newPipeline(text, pod)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", sandbox.Loopback(0))
	if err != nil {
		return nil, err
	}
	made := &instance{
		fleet: f, pod: pod, pipeline: pipeline, port: listener.Addr().(*net.TCPAddr).Port, files: map[[2]string]*readFile{}, writes: map[string]*writer{},
	}
	made.server = httpserver.ServeOn(listener, made.handler())
	return made, nil
}

// Port is where the server of a pod listens: 0 if there is none.
func (f *Fleet) Port(pod *core.Pod) int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if instance := f.instances[pod.UID]; instance != nil {
		return instance.port
	}
	return 0
}

func (f *Fleet) allInstances() []*instance {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return slices.Collect(maps.Values(f.instances))
}

// readAll lets each Alloy read and send the lines that were written since its last read.
func (f *Fleet) readAll() {
	f.reading.Lock()
	defer f.reading.Unlock()
	files, everyFile := map[string][]logFile{}, []logFile{}
	pods := map[types.UID]*core.Pod{}
	all, _ := f.network.Objects().Pods.List(labels.Everything())
	for _, pod := range all {
		pods[pod.UID] = pod
	}
	for _, key := range f.logs.Written() {
		if pod := pods[key.Pod]; pod != nil {
			file := logFile{pod, key.Name, cluster.StatusOf(cluster.ContainerStatuses(pod), key.Name).RestartCount}
			files[pod.Spec.NodeName] = append(files[pod.Spec.NodeName], file)
			everyFile = append(everyFile, file)
		}
	}
	for _, instance := range f.allInstances() {
		node := instance.pod.Spec.NodeName
		found := files[node]
		if instance.pipeline.node == "" {
			found = everyFile
		}
		for _, file := range found {
			f.readFile(instance, file)
		}
		instance.forget(pods)
		instance.flush()
	}
}

// readFile reads a file from the position of the node's Alloy.
func (f *Fleet) readFile(instance *instance, file logFile) {
	lines := f.logs.Read(file.pod, file.container, false)
	place := [2]string{instance.pod.Spec.NodeName, file.path()}
	from := min(f.positions[place], len(lines))
	if from < len(lines) {
		f.positions[place] = from + instance.read(file, lines[from:])
	}
}

// heartbeatBatch is how many pods write a heartbeat line at once.
const heartbeatBatch = 200

// writeHeartbeats: each ready pod writes a line from time to time.
func (f *Fleet) writeHeartbeats() {
	f.reading.Lock()
	defer f.reading.Unlock()
	byNode := map[string]*instance{}
	for _, instance := range f.allInstances() {
		byNode[instance.pod.Spec.NodeName] = instance
	}
	pods, _ := f.network.Objects().Pods.List(labels.Everything())
	slices.SortFunc(pods, func(a, b *core.Pod) int {
		return cmp.Or(cmp.Compare(a.Spec.NodeName, b.Spec.NodeName), cmp.Compare(a.Name, b.Name))
	})
	for offset := range min(len(pods), heartbeatBatch) {
		pod := pods[(f.nextHeartbeat+offset)%len(pods)]
		instance := byNode[pod.Spec.NodeName]
		if instance != nil && cluster.IsReady(pod) && !podstages.IsScripted(pod) {
			name := pod.Spec.Containers[0].Name
			file := logFile{pod, name, cluster.StatusOf(pod.Status.ContainerStatuses, name).RestartCount}
			instance.read(file, []kubelet.Line{{At: time.Now(), Text: `level=info msg="still here"`}})
		}
	}
	f.nextHeartbeat += heartbeatBatch
}
