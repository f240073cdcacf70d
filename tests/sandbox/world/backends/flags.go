package backends

import (
	"strings"
)

// ReplaceFlags changes or (for an empty value) drops `--flag=value` arguments.
func ReplaceFlags(arguments []string, changes map[string]string) []string {
	kept := []string{}
	for _, argument := range arguments {
		name, _ := split(argument)
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

// Flag is the value of the last `--flag=value` with this name, or empty.
func Flag(arguments []string, flag string) string {
	found := ""
	for _, argument := range arguments {
		if name, value := split(argument); name == flag {
			found = value
		}
	}
	return found
}

func split(argument string) (name, value string) {
	name, value, _ = strings.Cut(strings.TrimLeft(argument, "-"), "=")
	return name, value
}
