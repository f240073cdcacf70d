package alloy

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
)

// pipeline applies an Alloy configuration to log lines: discovery, relabelling, stages, loki.write. A component or argument that is
// not modelled is an error.
type pipeline struct {
	blocks  map[string]configBlock
	rules   map[string][]relabelRule
	ids     []string
	sources []configBlock
	// node is spec.nodeName of the pods that discovery.kubernetes selects: empty for all.
	node string
}

// delivery is a line at a loki.write.
type delivery struct {
	write configBlock
	logEntry
}

// newPipeline reads a configuration as the Alloy of this pod does.
func newPipeline(text string, pod *core.Pod) (*pipeline, error) {
	blocks, err := parseConfig(text, func(name string) string { return variable(pod, name) })
	if err != nil {
		return nil, err
	}
	p := &pipeline{blocks: map[string]configBlock{}, rules: map[string][]relabelRule{}}
	for _, block := range blocks {
		if block.label == "" {
			if !slices.Contains([]string{"logging", "tracing", "http", "livedebugging"}, block.name) {
				return nil, fmt.Errorf("config.alloy: unrecognized block %s", block.name)
			}
			continue
		}
		p.ids = append(p.ids, block.id())
		p.blocks[block.id()] = block
		if err := p.accept(block); err != nil {
			return nil, err
		}
	}
	if len(p.ids) == 0 {
		return nil, errors.New("config.alloy: no components")
	}
	for _, block := range p.blocks {
		for _, found := range block.references {
			for _, reference := range found {
				if _, ok := p.blocks[componentOf(reference)]; !ok {
					return nil, fmt.Errorf("config.alloy: component %q does not exist or is out of scope", reference)
				}
			}
		}
	}
	return p, nil
}

func componentOf(reference string) string { return reference[:strings.LastIndex(reference, ".")] }

func (p *pipeline) accept(block configBlock) error {
	switch block.name {
	case "discovery.kubernetes":
		if role := block.text("role", ""); role != "pod" {
			return fmt.Errorf("the sandbox's Alloy does not model the role %q of %s", role, block.id())
		}
		if selectors, ok := block.child("selectors"); ok {
			if node, ok := strings.CutPrefix(selectors.text("field", ""), "spec.nodeName="); ok {
				p.node = node
			}
		}
		return block.unknown("role", "selectors")
	case "discovery.relabel", "loki.relabel":
		rules, err := relabelRules(block)
		p.rules[block.id()] = rules
		return err
	case "local.file_match":
		return block.unknown("path_targets", "sync_period")
	case "loki.source.file", "loki.source.kubernetes":
		p.sources = append(p.sources, block)
		return block.unknown("targets", "forward_to", "tail_from_end")
	case "loki.process":
		return checkStages(block.blocks)
	case "loki.write":
		endpoint, ok := block.child("endpoint")
		if !ok || endpoint.text("url", "") == "" {
			return fmt.Errorf("config.alloy: %s needs an endpoint with a url", block.id())
		}
		return errors.Join(block.unknown("endpoint", "external_labels"), endpoint.unknown("url", "tenant_id"))
	default:
		return fmt.Errorf("the sandbox's Alloy does not model %s", block.name)
	}
}

// variable of the pod's containers. HOSTNAME is the name of the pod unless the pod sets it.
func variable(pod *core.Pod, name string) string {
	for _, container := range pod.Spec.Containers {
		for _, given := range container.Env {
			switch {
			case given.Name != name:
			case given.ValueFrom != nil && given.ValueFrom.FieldRef != nil && given.ValueFrom.FieldRef.FieldPath == "spec.nodeName":
				return pod.Spec.NodeName
			default:
				return given.Value
			}
		}
	}
	if name == "HOSTNAME" {
		return pod.Name
	}
	return ""
}

// targets are the labels of a component's targets for a file: none if it does not select the file.
func (p *pipeline) targets(references []string, file logFile) []map[string]string {
	found := []map[string]string{}
	for _, reference := range references {
		block := p.blocks[componentOf(reference)]
		switch block.name {
		case "discovery.kubernetes":
			if labels := file.discovered(); labels != nil && (p.node == "" || p.node == file.pod.Spec.NodeName) {
				found = append(found, labels)
			}
		case "discovery.relabel":
			for _, labels := range p.targets(block.references["targets"], file) {
				if labels = relabel(labels, p.rules[block.id()]); labels != nil {
					found = append(found, labels)
				}
			}
		case "local.file_match":
			for _, labels := range p.targets(block.references["path_targets"], file) {
				if matched, _ := path.Match(labels["__path__"], file.path()); matched {
					labels["__path__"] = file.path()
					found = append(found, labels)
				}
			}
		}
	}
	return found
}

// readers are the sources that read a file on this node, with the labels of its lines.
func (p *pipeline) readers(file logFile, node string) map[string]map[string]string {
	readers := map[string]map[string]string{}
	for _, source := range p.sources {
		for _, labels := range p.targets(source.references["targets"], file) {
			if source.name == "loki.source.file" {
				// A source reads only the files of its node.
				if file.pod.Spec.NodeName != node || labels["__path__"] != file.path() {
					continue
				}
				labels["filename"] = file.path()
			} else {
				labels["instance"] = file.pod.Namespace + "/" + file.pod.Name + ":" + file.container
				labels["job"] = source.id()
			}
			maps.DeleteFunc(labels, func(key, _ string) bool { return strings.HasPrefix(key, "__") })
			readers[source.id()] = labels
		}
	}
	return readers
}

// forward carries a line from a component to each loki.write that it reaches.
func (p *pipeline) forward(from configBlock, line logEntry) []delivery {
	found := []delivery{}
	for _, reference := range from.references["forward_to"] {
		next := p.blocks[componentOf(reference)]
		switch next.name {
		case "loki.write":
			line := line
			line.labels = maps.Clone(line.labels)
			maps.Copy(line.labels, next.pairs("external_labels"))
			found = append(found, delivery{next, line})
		case "loki.relabel":
			line := line
			if line.labels = relabel(line.labels, p.rules[next.id()]); len(line.labels) > 0 {
				found = append(found, p.forward(next, line)...)
			}
		case "loki.process":
			line := line
			line.labels, line.extracted = maps.Clone(line.labels), line.labels
			if line.pass(next.blocks) {
				found = append(found, p.forward(next, line)...)
			}
		}
	}
	return found
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
