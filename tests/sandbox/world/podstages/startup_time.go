package podstages

import (
	"hash/fnv"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// startupTime gives the durations of pods. They are not random: a pod of the same role takes the same time in every sandbox,
// so that runs can be compared.
type startupTime struct {
	slow bool
	// pulled: the images are on the node when the time begins.
	pulled bool
}

const startupSeed = "tailwatch"

func (p startupTime) untilReady(pod *core.Pod) time.Duration {
	switch {
	case p.slow && IsScripted(pod):
		// The node has its image already.
		return spread(time.Second, 2*time.Second, role(pod))
	case p.slow && p.pulled:
		return spread(time.Second, 4*time.Second, role(pod))
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

// mix spreads the hashes of similar names (the finaliser of splitmix64).
func mix(x uint64) uint64 {
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

// role is the part of a pod's name that a re-created pod has too: its owner without the generated suffix, with the ordinal of
// a StatefulSet's pod and the node of a DaemonSet's.
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
