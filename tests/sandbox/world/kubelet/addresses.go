package kubelet

import (
	"fmt"
	"sync"

	core "k8s.io/api/core/v1"
)

// addresses allocates the addresses of pods from 10.244.0.0/16.
type addresses struct {
	mutex sync.Mutex
	last  int
	used  map[string]bool
}

func (a *addresses) allocate() string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for {
		// Neither the network's own address nor its broadcast address.
		a.last = a.last%65534 + 1
		address := fmt.Sprintf("10.244.%d.%d", a.last/256, a.last%256)
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
