package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// alloyFleet are the Alloys of all nodes: each pod has a small server of its own that reads the installed
// configuration, and carries what the containers of its node write to where loki.write points.
type alloyFleet struct {
	w         *world
	mutex     sync.Mutex
	instances map[types.UID]*alloy
	// refused are the pods whose configuration was, with the reason that has been reported.
	refused map[types.UID]string
	// positions lie on the nodes, by node and file: they outlive the pods.
	positions map[[2]string]int
	// begin is where those of the running pods are that next say that they are still there.
	begin   int
	stopRun context.CancelFunc
	// reading: one look at the files at a time.
	reading sync.Mutex
}

func newAlloyFleet(w *world) *alloyFleet {
	return &alloyFleet{w: w, refused: map[types.UID]string{}, positions: map[[2]string]int{}}
}

func (f *alloyFleet) wanted(v *view) *wanted {
	if len(v.readyPods("alloy")) == 0 {
		return nil
	}
	return &wanted{fingerprint: "alloy", start: func() (running, error) {
		f.mutex.Lock()
		f.instances = map[types.UID]*alloy{}
		f.mutex.Unlock()
		err := f.sync(v)
		if len(f.instances) == 0 {
			return nil, err
		}
		ctx, stop := context.WithCancel(context.Background())
		f.stopRun = stop
		go every(ctx, 200*time.Millisecond, f.read)
		go every(ctx, 2*time.Second, f.breathe)
		return f, nil
	}}
}

func (f *alloyFleet) running() bool { return true }

func (f *alloyFleet) stop() {
	f.stopRun()
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for uid, instance := range f.instances {
		instance.server.stop()
		delete(f.instances, uid)
	}
}

// sync starts what new pods stand for, and ends what those stood for that are gone. A pod whose configuration is
// refused has nothing that answers.
func (f *alloyFleet) sync(v *view) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	ready := map[types.UID]bool{}
	var failure error
	for _, pod := range v.readyPods("alloy") {
		ready[pod.UID] = true
		if f.instances[pod.UID] != nil {
			continue
		}
		instance, err := f.start(v, pod)
		if err != nil {
			failure = err
			if f.refused[pod.UID] != err.Error() {
				f.w.note("alloy", "error", err.Error())
				f.refused[pod.UID] = err.Error()
			}
			continue
		}
		f.instances[pod.UID] = instance
	}
	for uid, instance := range f.instances {
		if !ready[uid] {
			instance.server.stop()
			delete(f.instances, uid)
		}
	}
	return failure
}

func (f *alloyFleet) start(v *view, pod *core.Pod) (*alloy, error) {
	text, ok := v.configMapOf(pod, "config.alloy")
	if !ok {
		return nil, errors.New("config.alloy is missing")
	}
	pipeline, err := newPipeline(text, pod)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", loopback(0))
	if err != nil {
		return nil, err
	}
	made := &alloy{
		fleet: f, pod: pod, pipeline: pipeline, port: listener.Addr().(*net.TCPAddr).Port, files: map[[2]string]*readFile{}, writes: map[string]*written{},
	}
	made.server = serveOn(listener, made.handler())
	return made, nil
}

// port is where the server of a pod listens: 0 if there is none.
func (f *alloyFleet) port(pod *core.Pod) int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if instance := f.instances[pod.UID]; instance != nil {
		return instance.port
	}
	return 0
}

func (f *alloyFleet) everyInstance() []*alloy {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return slices.Collect(maps.Values(f.instances))
}

// read lets each Alloy read what has been written since it last did, and send what it has read.
func (f *alloyFleet) read() {
	f.reading.Lock()
	defer f.reading.Unlock()
	files, everyFile := map[string][]logFile{}, []logFile{}
	pods := map[types.UID]*core.Pod{}
	all, _ := f.w.view().pods.List(labels.Everything())
	for _, pod := range all {
		pods[pod.UID] = pod
	}
	for _, key := range f.w.kubelet.logs.written() {
		if pod := pods[key.pod]; pod != nil {
			file := logFile{pod, key.name, statusOf(everyContainer(pod), key.name).RestartCount}
			files[pod.Spec.NodeName] = append(files[pod.Spec.NodeName], file)
			everyFile = append(everyFile, file)
		}
	}
	for _, instance := range f.everyInstance() {
		node := instance.pod.Spec.NodeName
		found := files[node]
		if instance.pipeline.node == "" {
			found = everyFile
		}
		for _, file := range found {
			f.readOn(instance, file)
		}
		instance.forget(pods)
		instance.flush()
	}
}

// readOn reads a file from where the node's Alloy has come to.
func (f *alloyFleet) readOn(instance *alloy, file logFile) {
	lines := f.w.kubelet.logs.read(file.pod, file.container, false)
	place := [2]string{instance.pod.Spec.NodeName, file.path()}
	from := min(f.positions[place], len(lines))
	if from < len(lines) {
		f.positions[place] = from + instance.take(file, lines[from:])
	}
}

// linesAtOnce is how many running pods say in the same moment that they are still there.
const linesAtOnce = 200

// breathe: each ready pod writes a line now and then.
func (f *alloyFleet) breathe() {
	f.reading.Lock()
	defer f.reading.Unlock()
	byNode := map[string]*alloy{}
	for _, instance := range f.everyInstance() {
		byNode[instance.pod.Spec.NodeName] = instance
	}
	pods, _ := f.w.view().pods.List(labels.Everything())
	slices.SortFunc(pods, func(a, b *core.Pod) int {
		return cmp.Or(cmp.Compare(a.Spec.NodeName, b.Spec.NodeName), cmp.Compare(a.Name, b.Name))
	})
	for offset := range min(len(pods), linesAtOnce) {
		pod := pods[(f.begin+offset)%len(pods)]
		instance := byNode[pod.Spec.NodeName]
		if instance != nil && isReady(pod) && !isScripted(pod) {
			name := pod.Spec.Containers[0].Name
			file := logFile{pod, name, statusOf(pod.Status.ContainerStatuses, name).RestartCount}
			instance.take(file, []logLine{{time.Now(), `level=info msg="still here"`}})
		}
	}
	f.begin += linesAtOnce
}

// serveOn serves on a listener.
func serveOn(listener net.Listener, handler http.Handler) *server {
	s := &server{http: &http.Server{Handler: handler}}
	go func() { _ = s.http.Serve(listener) }()
	return s
}

// componentList is the answer of /api/v0/web/components.
func (p *pipeline) componentList() []any {
	list := []any{}
	for _, id := range p.ids {
		block := p.blocks[id]
		list = append(list, map[string]any{
			"name": block.name, "type": "block", "localID": id, "moduleID": "", "label": block.label,
			"health": map[string]any{"state": "healthy", "message": "started component"},
		})
	}
	return list
}

// metricLine is one sample in the text format.
func metricLine(name string, value int, labels ...string) string {
	text := ""
	for index := 0; index < len(labels); index += 2 {
		if index > 0 {
			text += ","
		}
		text += fmt.Sprintf("%s=%q", labels[index], labels[index+1])
	}
	return fmt.Sprintf("%s{%s} %d\n", name, text, value)
}
