package main

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
)

// Fault is a switch that is on. Target narrows it to pods whose name, or whose image, begins so (for quota: to a namespace). Stages is
// the text of the file that a fault of the kind `pods` plays.
type Fault struct{ Kind, Target, File, Stages string }

// faultKinds: what each takes as its target, and whether it may be on for several at once.
var faultKinds = []faultKind{
	{"network", "policies-ignored", false},
	{"metrics", "target-missing|no-alertmanager|webhook-away|alertmanager-deaf", false},
	{"door", "wrong-client|wrong-redirect|trusts-headers|no-pkce|wrong-issuer", false},
	{"grafana", "two-defaults|no-default|loki-wrong|login-form|root-url|no-dashboards|role-admin", false},
	{"logs", "lost-before-alloy|lost-in-alloy|twice|read-only|lost-in-loki|wrong-labels|late", false},
	{"pods", "PREFIX@FILE", true}, {"image-pull", "[PREFIX]", true}, {"crash-loop", "[PREFIX]", true},
	{"never-ready", "[PREFIX]", true}, {"slow-start", "[PREFIX]", true}, {"node-not-ready", "NODE", true},
	{"unschedulable", "", false}, {"no-storage-class", "", false}, {"provisioner-not-responding", "", false}, {"provisioning-failed", "", false},
	{"quota", "[NAMESPACE]", false}, {"tailscale", "https-off|no-address|host-taken|tags-refused|operator-away|certificate-expired|certificate-ends|certificate-foreign|not-joined", false},
	{"issuer", issuerFaults, false},
	{"api-down", "", false}, {"controllers-down", "", false},
}

// issuerFaults are what can be wrong with an Auth0 tenant and the application there.
const issuerFaults = "gone|silent|not-found|html|other-issuer|no-slash|no-pkce|no-rs256|no-code|keys-gone|keys-empty|client-unknown|" +
	"callback-refused|secret-other|no-groups|certificate-untrusted|certificate-expired"

type faultKind struct {
	kind, target string
	several      bool
}

func kindOf(kind string) (faultKind, bool) {
	for _, row := range faultKinds {
		if row.kind == kind {
			return row, true
		}
	}
	return faultKind{}, false
}

func faultUsage() string {
	usages := []string{}
	for _, row := range faultKinds {
		switch {
		case strings.HasPrefix(row.target, "["):
			usages = append(usages, row.kind+"[="+strings.Trim(row.target, "[]")+"]")
		case row.target != "":
			usages = append(usages, row.kind+"="+row.target)
		default:
			usages = append(usages, row.kind)
		}
	}
	return strings.Join(usages, ", ")
}

// parseFault reads KIND[=TARGET]. What is to be switched on is complete, and its file is read.
func parseFault(text string, on bool) (Fault, error) {
	var fault Fault
	fault.Kind, fault.Target, _ = strings.Cut(text, "=")
	kind, known := kindOf(fault.Kind)
	if !known {
		return fault, fmt.Errorf("there is no fault %q; there are: %s", fault.Kind, faultUsage())
	}
	malformed := fmt.Errorf("%s is to be written %s=%s", kind.kind, kind.kind, kind.target)
	if on && fault.Target == "" && kind.target != "" && !strings.HasPrefix(kind.target, "[") {
		return fault, malformed
	}
	if words := strings.Split(kind.target, "|"); on && strings.ToLower(kind.target) == kind.target && kind.target != "" && !slices.Contains(words, fault.Target) {
		return fault, malformed
	}
	if kind.target == "" && fault.Target != "" {
		return fault, fmt.Errorf("%s takes no target", kind.kind)
	}
	if fault.Kind != "pods" {
		return fault, nil
	}
	fault.Target, fault.File, _ = strings.Cut(fault.Target, "@")
	if !on {
		return fault, nil
	}
	if fault.Target == "" || fault.File == "" {
		return fault, malformed
	}
	content, err := os.ReadFile(fault.File)
	if err != nil {
		return fault, err
	}
	if _, err := parseCourse("", string(content)); err != nil {
		return fault, fmt.Errorf("%s: %w", fault.File, err)
	}
	fault.File, err = filepath.Abs(fault.File)
	fault.Stages = string(content)
	return fault, err
}

// String writes the fault as it is given.
func (f Fault) String() string {
	text := strings.TrimSuffix(f.Kind+"="+f.Target, "=")
	if f.File != "" {
		text += "@" + f.File
	}
	return text
}

// with adds a fault, in the place of those that it cannot be beside.
func with(faults []Fault, fault Fault) []Fault {
	replaced := fault
	if kind, _ := kindOf(fault.Kind); !kind.several {
		replaced.Target = ""
	}
	return append(without(faults, replaced), fault)
}

// without leaves out a fault: with a target that one, without one all of its kind.
func without(faults []Fault, fault Fault) []Fault {
	return slices.DeleteFunc(slices.Clone(faults), func(other Fault) bool {
		return other.Kind == fault.Kind && (fault.Target == "" || other.Target == fault.Target)
	})
}

//go:embed courses/*.yaml
var courseFiles embed.FS

// ownCourse gives one of the courses that the sandbox brings along.
func ownCourse(name string) *course {
	text, err := courseFiles.ReadFile("courses/" + name + ".yaml")
	if err != nil {
		panic(err)
	}
	course, err := parseCourse(name, string(text))
	if err != nil {
		panic(fmt.Sprintf("%s: %v", name, err))
	}
	return course
}

// podFaults says which course a pod goes through.
type podFaults struct {
	rows    []podFault
	healthy *course
}

type podFault struct {
	prefix string
	course *course
}

// podFaults are the faults that the simulated kubelets play; the one that was switched on last comes first.
func (s *Sandbox) podFaults() (podFaults, error) {
	faults := podFaults{healthy: ownCourse("healthy")}
	if s.Slow {
		faults.healthy = ownCourse("slow-start")
	}
	faults.healthy.pace = pace{slow: s.Slow}
	for _, fault := range slices.Backward(s.faults()) {
		row := podFault{prefix: fault.Target}
		switch fault.Kind {
		case "pods":
			var err error
			if row.course, err = parseCourse(hash(fault.String(), fault.Stages), fault.Stages); err != nil {
				return faults, fmt.Errorf("%s: %w", fault, err)
			}
			row.course.pace = pace{slow: s.Slow}
		case "image-pull", "crash-loop", "never-ready", "slow-start":
			row.course = ownCourse(fault.Kind)
			row.course.pace = pace{slow: s.Slow || fault.Kind == "slow-start"}
		default:
			continue
		}
		faults.rows = append(faults.rows, row)
	}
	return faults, nil
}

// course of a pod. What names no pods hits all but those of the cluster itself.
func (f podFaults) course(pod *core.Pod) *course {
	for _, row := range f.rows {
		if row.hits(pod) {
			return row.course
		}
	}
	return f.healthy
}

// hits: what has a slash in it is an image, which pods of another version do not have.
func (f podFault) hits(pod *core.Pod) bool {
	if strings.Contains(f.prefix, "/") {
		return slices.ContainsFunc(pod.Spec.Containers, func(container core.Container) bool {
			return strings.HasPrefix(container.Image, f.prefix)
		})
	}
	return (f.prefix != "" && strings.HasPrefix(pod.Name, f.prefix)) || (f.prefix == "" && pod.Namespace != "kube-system")
}
