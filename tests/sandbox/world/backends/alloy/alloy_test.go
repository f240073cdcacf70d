package alloy

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const alloyConfiguration = `
logging { level = "info" }
// Only this node: "{" in a comment opens nothing.
discovery.kubernetes "pods" {
  role = "pod"
  selectors {
    role  = "pod"
    field = "spec.nodeName=" + coalesce(sys.env("HOSTNAME"), constants.hostname)
  }
}
discovery.relabel "pods" {
  targets = discovery.kubernetes.pods.targets
  rule {
    source_labels = ["__meta_kubernetes_namespace"]
    target_label  = "namespace"
  }
  rule {
    source_labels = ["__meta_kubernetes_pod_uid"]
    target_label  = "pod_uid"
  }
  rule {
    source_labels = ["__meta_kubernetes_namespace", "__meta_kubernetes_pod_name", "__meta_kubernetes_pod_container_name"]
    separator     = "/"
    regex         = "(.+)/(.+)/(.+)"
    target_label  = "__path__"
    replacement   = "/var/log/pods/$1_$2_*/$3/*.log"
  }
  rule {
    source_labels = ["__meta_kubernetes_namespace"]
    regex         = "kube-.*"
    action        = "drop"
  }
}
local.file_match "pods" { path_targets = discovery.relabel.pods.output }
loki.source.file "pods" {
  targets    = local.file_match.pods.targets
  forward_to = [loki.process.pods.receiver]
}
loki.process "pods" {
  forward_to = [loki.write.loki.receiver]
  stage.match {
    selector = "{namespace=\"m\"}"
    stage.cri { }
  }
  stage.drop { older_than = "1h" }
  stage.label_drop { values = ["filename", "pod_uid"] }
  stage.structured_metadata { values = { pod_uid = "" } }
}
loki.write "loki" {
  endpoint { url = "http://loki.m.svc:3100/loki/api/v1/push" }
}
`

// alloyOn is a pod of Alloy on a node.
func alloyOn(node string) *core.Pod {
	pod := testPod("m", "alloy")
	pod.Spec.NodeName = node
	pod.Spec.Containers[0].Env = []core.EnvVar{{Name: "HOSTNAME", ValueFrom: &core.EnvVarSource{FieldRef: &core.ObjectFieldSelector{FieldPath: "spec.nodeName"}}}}
	return pod
}

func deliveries(t *testing.T, configuration string, alloy *core.Pod, file logFile, at time.Time) []delivery {
	pipeline, err := newPipeline(configuration, alloy)
	if err != nil {
		t.Fatal(err)
	}
	found := []delivery{}
	for source, labels := range pipeline.readers(file, alloy.Spec.NodeName) {
		found = append(found, pipeline.forward(pipeline.blocks[source], logEntry{labels: labels, at: at, line: "a line"})...)
	}
	return found
}

func TestPipelineAppliesTheConfiguration(t *testing.T) {
	file := logFile{testPod("m", "web"), "web", 0}
	found := deliveries(t, alloyConfiguration, alloyOn("node-0"), file, time.Now())
	if len(found) != 1 || found[0].write.id() != "loki.write.loki" {
		t.Fatalf("%v", found)
	}
	if expected := map[string]string{"namespace": "m", "stream": "stdout"}; !maps.Equal(found[0].labels, expected) {
		t.Errorf("labels %v", found[0].labels)
	}
	if found[0].metadata["pod_uid"] != "mweb" {
		t.Errorf("metadata %v", found[0].metadata)
	}
}

func TestPipelineSkipsFilesOutsideTheConfiguration(t *testing.T) {
	web := logFile{testPod("m", "web"), "web", 0}
	withoutAddress := logFile{testPod("m", "web"), "web", 0}
	withoutAddress.pod.Status.PodIP = ""
	unnamed := alloyOn("node-0")
	unnamed.Spec.Containers[0].Env = nil
	for _, row := range []struct {
		what  string
		alloy *core.Pod
		file  logFile
		at    time.Time
	}{
		{"another node's pod", alloyOn("node-1"), web, time.Now()},
		{"an Alloy whose HOSTNAME is its pod's name", unnamed, web, time.Now()},
		{"a dropped namespace", alloyOn("node-0"), logFile{testPod("kube-system", "web"), "web", 0}, time.Now()},
		{"a pod without an address", alloyOn("node-0"), withoutAddress, time.Now()},
		{"an old line", alloyOn("node-0"), web, time.Now().Add(-2 * time.Hour)},
	} {
		if found := deliveries(t, alloyConfiguration, row.alloy, row.file, row.at); len(found) != 0 {
			t.Errorf("%s: %v", row.what, found)
		}
	}
}

func TestInvalidConfigurationsAreRejected(t *testing.T) {
	for _, row := range [][2]string{
		{`loki.write "loki" {`, `loki.write "loki" `},
		{"older_than", "longer_than"},
		{"loki.process.pods.receiver", "loki.process.other.receiver"},
		{"stage.cri", "stage.json"},
		{"{namespace=", "{namespace"},
	} {
		if _, err := newPipeline(strings.Replace(alloyConfiguration, row[0], row[1], 1), alloyOn("node-0")); err == nil {
			t.Errorf("%s is read", row[1])
		}
	}
	if _, err := newPipeline(alloyConfiguration+"\ndiscovery.relabel \"x\" {", alloyOn("node-0")); err == nil || !strings.Contains(fmt.Sprint(err), "EOF") {
		t.Errorf("a block that does not close: %v", err)
	}
}

func testPod(namespace, name string) *core.Pod {
	return &core.Pod{
		ObjectMeta: meta.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + name), Labels: map[string]string{"app": name}},
		Spec:       core.PodSpec{NodeName: "node-0", Containers: []core.Container{{Name: name}}},
		Status:     core.PodStatus{PodIP: "10.244.0.7"},
	}
}
