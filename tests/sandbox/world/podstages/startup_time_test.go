package podstages

import (
	"fmt"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func owned(kind, owner, name, node string, labels map[string]string) *core.Pod {
	controls := true
	return &core.Pod{
		ObjectMeta: meta.ObjectMeta{
			Name: name, Namespace: "monitoring", Labels: labels,
			OwnerReferences: []meta.OwnerReference{{Kind: kind, Name: owner, Controller: &controls}},
		},
		Spec: core.PodSpec{NodeName: node},
	}
}

func TestSameRoleHasTheSameStartupTime(t *testing.T) {
	labels := func(hash string) map[string]string { return map[string]string{"pod-template-hash": hash} }
	for _, row := range []struct {
		one, other *core.Pod
		same       bool
	}{
		{owned("ReplicaSet", "grafana-5d8d7fb46", "grafana-5d8d7fb46-xs2nk", "node-0", labels("5d8d7fb46")),
			owned("ReplicaSet", "grafana-7c6f", "grafana-7c6f-abcde", "node-2", labels("7c6f")), true},
		{owned("DaemonSet", "alloy", "alloy-aaaaa", "node-1", nil), owned("DaemonSet", "alloy", "alloy-bbbbb", "node-1", nil), true},
		{owned("DaemonSet", "alloy", "alloy-aaaaa", "node-1", nil), owned("DaemonSet", "alloy", "alloy-aaaaa", "node-2", nil), false},
		{owned("StatefulSet", "loki", "loki-0", "node-1", nil), owned("StatefulSet", "loki", "loki-0", "node-2", nil), true},
		{owned("StatefulSet", "loki", "loki-0", "node-1", nil), owned("StatefulSet", "loki", "loki-1", "node-1", nil), false},
		{owned("Job", "admission-create", "admission-create-x", "node-1", nil), owned("Job", "admission-create", "admission-create-y", "node-1", nil), true},
	} {
		one, other := startupTime{slow: true}.untilReady(row.one), startupTime{slow: true}.untilReady(row.other)
		if (one == other) != row.same {
			t.Errorf("%s: %s, %s: %s", role(row.one), one, role(row.other), other)
		}
	}
}

// The durations must not change, since runs of different versions are compared.
func TestTheSeedIsFixed(t *testing.T) {
	loki := owned("StatefulSet", "loki", "loki-0", "node-1", nil)
	if slow, fast := (startupTime{slow: true}).untilReady(loki), (startupTime{}).untilReady(loki); slow.Milliseconds() != 9257 || fast.Milliseconds() != 357 {
		t.Errorf("%s and %s", slow, fast)
	}
}

func TestSlowPodsTakeSixToFifteenSeconds(t *testing.T) {
	least, most := time.Hour, time.Duration(0)
	for number := range 500 {
		took := startupTime{slow: true}.untilReady(owned("DaemonSet", "alloy", "alloy-x", fmt.Sprintf("node-%d", number), nil))
		least, most = min(least, took), max(most, took)
	}
	if least < 6*time.Second || least > 6200*time.Millisecond || most > 15*time.Second || most < 14800*time.Millisecond {
		t.Errorf("%s to %s", least, most)
	}
}

func TestSlowPodsWithTheirImagesTakeOneToFourSeconds(t *testing.T) {
	for number := range 100 {
		took := startupTime{slow: true, pulled: true}.untilReady(owned("DaemonSet", "alloy", "alloy-x", fmt.Sprintf("node-%d", number), nil))
		if took < time.Second || took > 4*time.Second {
			t.Errorf("%s", took)
		}
	}
}
