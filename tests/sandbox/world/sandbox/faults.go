package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Fault is a fault that is on. Target limits it, by kind: to a prefix of a pod's name or image, a node, a namespace. Stages
// is the text of the file of a fault of the kind `pods`.
type Fault struct{ Kind, Target, File, Stages string }

// faultKinds: the targets of each, and whether it may be on with several targets at once.
var faultKinds = []faultKind{
	{"network", "policies-ignored", false},
	{"metrics", "target-missing|no-alertmanager|config-invalid|webhook-unreachable|alertmanager-drops-alerts", false},
	{"oauth2-proxy", "wrong-client|wrong-redirect|trusts-headers|no-pkce|wrong-issuer", false},
	{"grafana", "two-defaults|no-default|loki-url-wrong|login-form|root-url|no-dashboards|role-admin|proxy-open|alertmanager-open|features-on|alerting-on", false},
	{"logs", "lost-before-alloy|lost-in-alloy|duplicated|read-only|lost-in-loki|wrong-labels|delayed", false},
	{"pods", "PREFIX@FILE", true}, {"image-pull", "[PREFIX]", true}, {"crash-loop", "[PREFIX]", true},
	{"never-ready", "[PREFIX]", true}, {"slow-start", "[PREFIX]", true}, {"node-not-ready", "NODE", true},
	{"unschedulable", "", false}, {"no-storage-class", "", false}, {"provisioner-not-responding", "", false}, {"provisioning-failed", "", false},
	{"quota", "[NAMESPACE]", false}, {"tailscale", "https-disabled|no-address|host-in-use|tags-rejected|operator-not-running|certificate-expired|certificate-expiring|certificate-untrusted|not-joined", false},
	{"issuer", issuerFaults, false},
	{"api-down", "", false}, {"controllers-down", "", false},
}

// issuerFaults are the faults of an Auth0 tenant and of its application.
const issuerFaults = "unreachable|no-response|not-found|html|other-issuer|no-trailing-slash|no-pkce|no-rs256|no-code|jwks-not-found|jwks-empty|client-unknown|organization-required|other-endpoints|" +
	"callback-rejected|secret-wrong|no-groups|certificate-untrusted|certificate-expired"

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

// ParseFault reads KIND[=TARGET]. A fault that is to be switched on needs its target, and its file is read.
func ParseFault(text string, on bool) (Fault, error) {
	var fault Fault
	fault.Kind, fault.Target, _ = strings.Cut(text, "=")
	kind, known := kindOf(fault.Kind)
	if !known {
		return fault, fmt.Errorf("there is no fault %q; there are: %s", fault.Kind, FaultUsage())
	}
	malformed := fmt.Errorf("the format of %s is %s=%s", kind.kind, kind.kind, kind.target)
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

// With adds a fault and removes those that exclude it.
func With(faults []Fault, fault Fault) []Fault {
	replaced := fault
	if kind, _ := kindOf(fault.Kind); !kind.several {
		replaced.Target = ""
	}
	return append(Without(faults, replaced), fault)
}

// Without removes a fault: without a target, all of its kind.
func Without(faults []Fault, fault Fault) []Fault {
	return slices.DeleteFunc(slices.Clone(faults), func(other Fault) bool {
		return other.Kind == fault.Kind && (fault.Target == "" || other.Target == fault.Target)
	})
}
