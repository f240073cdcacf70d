package backends

import (
	"strings"
)

// ReplaceFlags changes or (for an empty value) drops `--flag=value` arguments.
func ReplaceFlags(arguments []string, changes map[string]string) []string {
	kept := []string{}
	for _, argument := range arguments {
		name, _, _ := strings.Cut(strings.TrimLeft(argument, "-"), "=")
		value, changed := changes[name]
		switch {
		case !changed:
			kept = append(kept, argument)
		case value != "":
			kept = append(kept, "--"+name+"="+value)
		}
	}
	return kept
}
