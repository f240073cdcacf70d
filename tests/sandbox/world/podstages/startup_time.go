package podstages

import (
	"hash/fnv"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// startupTime says how long pods take. Nothing of it is left to chance: a pod of the same role takes the same time in every
// sandbox, so that runs can be compared.
type startupTime struct{ slow bool }

const startupSeed = "tailwatch"

func (p startupTime) untilReady(pod *core.Pod) time.Duration {
	switch {
	case p.slow && IsScripted(pod):
		// Its image is one that the node has already.
		return spread(time.Second, 2*time.Second, role(pod))
	case p.slow:
		return spread(6*time.Second, 15*time.Second, role(pod))
	}
	return spread(100*time.Millisecond, 400*time.Millisecond, role(pod))
}

// UntilComplete is how long a Job's pod works once it is ready.
func (p startupTime) UntilComplete() time.Duration {
	if p.slow {
		return 1500 * time.Millisecond
	}
	return 75 * time.Millisecond
}

func spread(least, most time.Duration, role string) time.Duration {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(startupSeed + "/" + role))
	return least + time.Duration(mix(sum.Sum64())%uint64(most-least))
}

// mix spreads what similar names leave close together (the finaliser of splitmix64).
func mix(x uint64) uint64 {
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

// role names a pod by what stays the same when it is re-created: its owner without generated parts, with the ordinal
// of a StatefulSet's pod and the node of a DaemonSet's.
func role(pod *core.Pod) string {
	name := pod.Name
	if owner := meta.GetControllerOf(pod); owner != nil {
		switch owner.Kind {
		case "StatefulSet":
		case "DaemonSet":
			name = owner.Name + "@" + pod.Spec.NodeName
		case "ReplicaSet":
			name = strings.TrimSuffix(owner.Name, "-"+pod.Labels["pod-template-hash"])
		default:
			name = owner.Name
		}
	}
	return pod.Namespace + "/" + name
}
