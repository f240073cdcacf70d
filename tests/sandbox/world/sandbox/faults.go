package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

func FaultUsage() string {
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

// ParseFault reads KIND[=TARGET]. What is to be switched on is complete, and its file is read.
func ParseFault(text string, on bool) (Fault, error) {
	var fault Fault
	fault.Kind, fault.Target, _ = strings.Cut(text, "=")
	kind, known := kindOf(fault.Kind)
	if !known {
		return fault, fmt.Errorf("there is no fault %q; there are: %s", fault.Kind, FaultUsage())
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

// With adds a fault, in the place of those that it cannot be beside.
func With(faults []Fault, fault Fault) []Fault {
	replaced := fault
	if kind, _ := kindOf(fault.Kind); !kind.several {
		replaced.Target = ""
	}
	return append(Without(faults, replaced), fault)
}

// Without leaves out a fault: with a target that one, without one all of its kind.
func Without(faults []Fault, fault Fault) []Fault {
	return slices.DeleteFunc(slices.Clone(faults), func(other Fault) bool {
		return other.Kind == fault.Kind && (fault.Target == "" || other.Target == fault.Target)
	})
}
