package kubelet

import (
	"sync"

	core "k8s.io/api/core/v1"

	"tailwatch.dev/sandbox/world/worlds"
)

// addresses allocates the addresses of pods from a range.
type addresses struct {
	network string
	mutex   sync.Mutex
	last    int
	used    map[string]bool
}

func (a *addresses) allocate() string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for {
		// Neither the network's own address nor its broadcast address.
		a.last = a.last%(worlds.Size(a.network)-2) + 1
		address := worlds.Nth(a.network, a.last).String()
		if !a.used[address] {
			a.mark(address)
			return address
		}
	}
}

func (a *addresses) mark(address string) {
	if a.used == nil {
		a.used = map[string]bool{}
	}
	a.used[address] = true
}

func (a *addresses) use(pod *core.Pod) {
	if pod.Status.PodIP == "" || pod.Spec.HostNetwork {
		return
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.mark(pod.Status.PodIP)
}

func (a *addresses) release(pod *core.Pod) {
	if pod.Spec.HostNetwork {
		return
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	delete(a.used, pod.Status.PodIP)
}
