package kubelet

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	core "k8s.io/api/core/v1"
)

func podOn(node string, images ...string) *core.Pod {
	pod := &core.Pod{Spec: core.PodSpec{NodeName: node, RestartPolicy: core.RestartPolicyAlways}}
	for _, image := range images {
		pod.Spec.Containers = append(pod.Spec.Containers, core.Container{Image: image})
	}
	return pod
}

func TestANodePullsOneImageAfterTheOtherAndKeepsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pulls{bandwidth: 10, nodes: map[string]*nodeImages{}}
		began := time.Now()
		var all sync.WaitGroup
		for _, row := range []struct {
			pod   *core.Pod
			until time.Duration
		}{
			{podOn("node-0", "unknown:1", "unknown:1"), 2 * time.Second},
			{podOn("node-1", "unknown:1", "unknown:2"), 4 * time.Second},
		} {
			all.Go(func() {
				if !p.await(context.Background(), row.pod) || time.Since(began) != row.until {
					t.Errorf("%s: %s instead of %s", row.pod.Spec.NodeName, time.Since(began), row.until)
				}
			})
		}
		all.Wait()
		for range 2 {
			all.Go(func() { p.await(context.Background(), podOn("node-0", "unknown:3")) })
		}
		all.Wait()
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("two pods of one node pulled the same image until %s", took)
		}
	})
}

func TestAnUnfinishedPullLeavesNoImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pulls{bandwidth: 10, nodes: map[string]*nodeImages{}}
		short, stop := context.WithTimeout(context.Background(), time.Second)
		defer stop()
		if p.await(short, podOn("node-0", "unknown:1")) || p.nodes["node-0"].present["unknown:1"] {
			t.Error("the image is on the node after half of its pull")
		}
	})
}
