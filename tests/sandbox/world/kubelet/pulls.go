package kubelet

import (
	"context"
	"slices"
	"sync"
	"time"

	core "k8s.io/api/core/v1"

	"tailwatch.dev/sandbox/world/images"
	"tailwatch.dev/sandbox/world/podstages"
	"tailwatch.dev/sandbox/world/sandbox"
)

// pulls models the images on the nodes. A node pulls one image at a time, the kubelet's default (serializeImagePulls), and
// keeps it.
type pulls struct {
	// bandwidth of a node in MB/s; 0: every image is on every node.
	bandwidth int
	mutex     sync.Mutex
	nodes     map[string]*nodeImages
}

type nodeImages struct {
	// pulling is full during a pull, and guards present.
	pulling chan struct{}
	present map[string]bool
}

// forget removes every image from every node.
func (p *pulls) forget() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.nodes = map[string]*nodeImages{}
}

// await returns when the images of a pod are on its node: false if the context ended before. The pod of a script needs
// none.
func (p *pulls) await(ctx context.Context, pod *core.Pod) bool {
	if p.bandwidth == 0 || podstages.IsScripted(pod) {
		return true
	}
	p.mutex.Lock()
	node := p.nodes[pod.Spec.NodeName]
	if node == nil {
		node = &nodeImages{pulling: make(chan struct{}, 1), present: map[string]bool{}}
		p.nodes[pod.Spec.NodeName] = node
	}
	p.mutex.Unlock()
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if !node.pull(ctx, container.Image, p.bandwidth) {
			return false
		}
	}
	return true
}

func (n *nodeImages) pull(ctx context.Context, image string, bandwidth int) bool {
	select {
	case n.pulling <- struct{}{}:
		defer func() { <-n.pulling }()
	case <-ctx.Done():
		return false
	}
	if n.present[image] {
		return true
	}
	took := time.Duration(images.Megabytes(image) / float64(bandwidth) * float64(time.Second))
	n.present[image] = sandbox.Sleep(ctx, took)
	return n.present[image]
}
