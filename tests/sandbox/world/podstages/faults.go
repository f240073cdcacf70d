package podstages

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"

	"tailwatch.dev/sandbox/world/sandbox"
)

//go:embed scenarios/*.yaml
var scenarioFiles embed.FS

// builtinScenario gives a scenario of the folder `scenarios`.
func builtinScenario(name string) *Scenario {
	text, err := scenarioFiles.ReadFile("scenarios/" + name + ".yaml")
	if err != nil {
		panic(err)
	}
	scenario, err := ParseScenario(name, string(text))
	if err != nil {
		panic(fmt.Sprintf("%s: %v", name, err))
	}
	return scenario
}

// Faults selects the scenario of a pod.
type Faults struct {
	rows    []podFault
	healthy *Scenario
}

type podFault struct {
	prefix string
	// node: the fault is of every pod on it.
	node     string
	scenario *Scenario
}

// NewFaults reads the pod faults that are on; the one that was switched on last comes first.
func NewFaults(s *sandbox.Sandbox) (Faults, error) {
	faults := Faults{healthy: builtinScenario("healthy")}
	if s.Slow {
		faults.healthy = builtinScenario("slow-start")
	}
	startup := func(slow bool) startupTime { return startupTime{slow: slow, pulled: s.ImageBandwidth > 0} }
	faults.healthy.Startup = startup(s.Slow)
	for _, fault := range slices.Backward(s.ActiveFaults()) {
		row := podFault{prefix: fault.Target}
		switch fault.Kind {
		case "pods":
			var err error
			if row.scenario, err = ParseScenario(sandbox.Hash(fault.String(), fault.Stages), fault.Stages); err != nil {
				return faults, fmt.Errorf("%s: %w", fault, err)
			}
			row.scenario.Startup = startup(s.Slow)
		case "image-pull", "crash-loop", "never-ready", "slow-start":
			row.scenario = builtinScenario(fault.Kind)
			row.scenario.Startup = startup(s.Slow || fault.Kind == "slow-start")
		default:
			continue
		}
		faults.rows = append(faults.rows, row)
	}
	for _, node := range s.World.AllNodes() {
		if node.PodsDoNotStart {
			faults.rows = append(faults.rows, podFault{node: node.Name, scenario: builtinScenario("no-pod-sandbox")})
		}
	}
	return faults, nil
}

// Scenario of a pod. A fault without a prefix applies to all pods outside kube-system.
func (f Faults) Scenario(pod *core.Pod) *Scenario {
	for _, row := range f.rows {
		if row.hits(pod) {
			return row.scenario
		}
	}
	return f.healthy
}

// hits: a prefix with a slash is one of an image, otherwise of a pod name.
func (f podFault) hits(pod *core.Pod) bool {
	if f.node != "" {
		return pod.Spec.NodeName == f.node
	}
	if strings.Contains(f.prefix, "/") {
		return slices.ContainsFunc(pod.Spec.Containers, func(container core.Container) bool {
			return strings.HasPrefix(container.Image, f.prefix)
		})
	}
	return (f.prefix != "" && strings.HasPrefix(pod.Name, f.prefix)) || (f.prefix == "" && pod.Namespace != "kube-system")
}

// ParseFault reads KIND[=TARGET], and the stages of a fault that is to be switched on.
func ParseFault(text string, on bool) (sandbox.Fault, error) {
	fault, err := sandbox.ParseFault(text, on)
	if err != nil || fault.Stages == "" {
		return fault, err
	}
	if _, err := ParseScenario("", fault.Stages); err != nil {
		return fault, fmt.Errorf("%s: %w", fault.File, err)
	}
	return fault, nil
}
