package alloy

import (
	"fmt"
	"maps"
	"regexp"
	"strings"

	core "k8s.io/api/core/v1"

	"tailwatch.dev/sandbox/world/cluster"
)

// logFile is the log file of a container on its node.
type logFile struct {
	pod       *core.Pod
	container string
	restarts  int32
}

func (f logFile) path() string {
	return fmt.Sprintf("/var/log/pods/%s_%s_%s/%s/%d.log", f.pod.Namespace, f.pod.Name, f.pod.UID, f.container, f.restarts)
}

// discovered are the labels that discovery.kubernetes gives a container: none before its pod has an address.
func (f logFile) discovered() map[string]string {
	if f.pod.Status.PodIP == "" {
		return nil
	}
	found := map[string]string{
		"__address__": f.pod.Status.PodIP, "__meta_kubernetes_namespace": f.pod.Namespace,
		"__meta_kubernetes_pod_name": f.pod.Name, "__meta_kubernetes_pod_uid": string(f.pod.UID), "__meta_kubernetes_pod_ip": f.pod.Status.PodIP,
		"__meta_kubernetes_pod_node_name": f.pod.Spec.NodeName, "__meta_kubernetes_pod_host_ip": f.pod.Status.HostIP,
		"__meta_kubernetes_pod_phase": string(f.pod.Status.Phase), "__meta_kubernetes_pod_container_name": f.container,
	}
	for key, value := range f.pod.Labels {
		found["__meta_kubernetes_pod_label_"+sanitized.ReplaceAllString(key, "_")] = value
		found["__meta_kubernetes_pod_labelpresent_"+sanitized.ReplaceAllString(key, "_")] = "true"
	}
	for key, value := range f.pod.Annotations {
		found["__meta_kubernetes_pod_annotation_"+sanitized.ReplaceAllString(key, "_")] = value
	}
	for _, status := range cluster.ContainerStatuses(f.pod) {
		if status.Name == f.container {
			found["__meta_kubernetes_pod_container_id"] = status.ContainerID
			found["__meta_kubernetes_pod_container_image"] = status.Image
		}
	}
	return found
}

var sanitized = regexp.MustCompile(`[^a-zA-Z0-9_]`)

// relabelRule is one rule of discovery.relabel or loki.relabel.
type relabelRule struct {
	sources                                []string
	separator, target, replacement, action string
	expression                             *regexp.Regexp
}

func relabelRules(block configBlock) ([]relabelRule, error) {
	if err := block.unknown("targets", "forward_to", "max_cache_size", "rule"); err != nil {
		return nil, err
	}
	rules := []relabelRule{}
	for _, given := range block.blocks {
		if err := given.unknown("source_labels", "separator", "regex", "target_label", "replacement", "action"); err != nil {
			return nil, err
		}
		expression, err := regexp.Compile("^(?s:" + given.text("regex", "(.*)") + ")$")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", block.id(), err)
		}
		rule := relabelRule{
			sources: given.list("source_labels"), separator: given.text("separator", ";"), target: given.text("target_label", ""),
			replacement: given.text("replacement", "$1"), action: given.text("action", "replace"), expression: expression,
		}
		switch rule.action {
		case "replace", "keep", "drop", "labelmap", "labeldrop", "labelkeep":
		default:
			return nil, fmt.Errorf("the sandbox's Alloy does not model the action %q of %s", rule.action, block.id())
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// relabel applies rules to labels: nil if a rule drops them.
func relabel(labels map[string]string, rules []relabelRule) map[string]string {
	labels = maps.Clone(labels)
	for _, rule := range rules {
		if labels = rule.apply(labels); labels == nil {
			return nil
		}
	}
	return labels
}

func (r relabelRule) apply(labels map[string]string) map[string]string {
	values := []string{}
	for _, source := range r.sources {
		values = append(values, labels[source])
	}
	value := strings.Join(values, r.separator)
	match := r.expression.FindStringSubmatchIndex(value)
	switch r.action {
	case "keep":
		if match == nil {
			return nil
		}
	case "drop":
		if match != nil {
			return nil
		}
	case "replace":
		if match == nil {
			return labels
		}
		if replaced := string(r.expression.ExpandString(nil, r.replacement, value, match)); replaced != "" {
			labels[r.target] = replaced
		} else {
			delete(labels, r.target)
		}
	case "labelmap":
		for key, value := range maps.Clone(labels) {
			if r.expression.MatchString(key) {
				labels[r.expression.ReplaceAllString(key, r.replacement)] = value
			}
		}
	case "labeldrop", "labelkeep":
		for key := range maps.Clone(labels) {
			if r.expression.MatchString(key) == (r.action == "labeldrop") {
				delete(labels, key)
			}
		}
	}
	return labels
}
