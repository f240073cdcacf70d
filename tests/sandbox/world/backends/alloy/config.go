package alloy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// configBlock is a block of an Alloy configuration. Values are kept as source text.
type configBlock struct {
	name, label string
	values      map[string]string
	blocks      []configBlock
}

// id is the name in references to the component.
func (b configBlock) id() string { return b.name + "." + b.label }

// text is a string value: otherwise if it is missing.
func (b configBlock) text(key, otherwise string) string {
	if list := stringsOf(b.values[key]); len(list) > 0 {
		return list[0]
	}
	return otherwise
}

// list are the strings of a list.
func (b configBlock) list(key string) []string { return stringsOf(b.values[key]) }

func (b configBlock) child(name string) (configBlock, bool) {
	for _, child := range b.blocks {
		if child.name == name {
			return child, true
		}
	}
	return configBlock{}, false
}

// unknown is an error for the first argument or block that is not in the list.
func (b configBlock) unknown(known ...string) error {
	listed := " " + strings.Join(known, " ") + " "
	for key := range b.values {
		if !strings.Contains(listed, " "+key+" ") {
			return fmt.Errorf("the sandbox's Alloy does not model %s of %s", key, b.name)
		}
	}
	for _, child := range b.blocks {
		if !strings.Contains(listed, " "+child.name+" ") {
			return fmt.Errorf("the sandbox's Alloy does not model %s in %s", child.name, b.name)
		}
	}
	return nil
}

var (
	alloyString    = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	alloyReference = regexp.MustCompile(`[a-z_]+(?:\.[a-zA-Z_]\w*)+`)
	alloyComment   = regexp.MustCompile(`^(?://[^\n]*|/\*(?s:.*?)\*/)`)
	alloyName      = regexp.MustCompile(`^[a-zA-Z_]\w*(?:\.[a-zA-Z_]\w*)*`)
	alloyPair      = regexp.MustCompile(`"?(\w+)"?\s*=\s*("(?:[^"\\]|\\.)*")`)
)

func stringsOf(value string) []string {
	found := []string{}
	for _, quoted := range alloyString.FindAllString(value, -1) {
		found = append(found, unquoted(quoted))
	}
	return found
}

var escapes = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n", `\t`, "\t")

func unquoted(quoted string) string { return escapes.Replace(quoted[1 : len(quoted)-1]) }

// pairs are the strings of an object.
func pairs(value string) map[string]string {
	found := map[string]string{}
	for _, match := range alloyPair.FindAllStringSubmatch(value, -1) {
		found[match[1]] = unquoted(match[2])
	}
	return found
}

// parseConfig reads a configuration; an unclosed block is an error.
func parseConfig(text string) ([]configBlock, error) {
	reader := &configReader{rest: text}
	body, err := reader.body("")
	if err != nil {
		return nil, fmt.Errorf("config.alloy: %w", err)
	}
	if len(body.values) > 0 {
		return nil, errors.New("config.alloy: unrecognized attribute name")
	}
	return body.blocks, nil
}

type configReader struct{ rest string }

func (r *configReader) skip() {
	for {
		r.rest = strings.TrimLeft(r.rest, " \t\r\n")
		comment := alloyComment.FindString(r.rest)
		if comment == "" {
			return
		}
		r.rest = r.rest[len(comment):]
	}
}

// body reads until the given end: the brace of a block, or nothing for the file.
func (r *configReader) body(end string) (configBlock, error) {
	found := configBlock{values: map[string]string{}}
	for {
		r.skip()
		if r.rest == "" || strings.HasPrefix(r.rest, "}") {
			switch {
			case r.rest == "" && end != "":
				return found, errors.New("expected }, got EOF")
			case r.rest != "" && end == "":
				return found, errors.New("unexpected }")
			}
			r.rest = strings.TrimPrefix(r.rest, end)
			return found, nil
		}
		name := alloyName.FindString(r.rest)
		if name == "" {
			return found, fmt.Errorf("expected a name, got %.20q", r.rest)
		}
		r.rest = r.rest[len(name):]
		r.skip()
		if rest, ok := strings.CutPrefix(r.rest, "="); ok {
			r.rest = rest
			found.values[name] = r.value()
			continue
		}
		label := alloyString.FindString(r.rest)
		if strings.HasPrefix(r.rest, `"`) {
			r.rest = r.rest[len(label):]
			r.skip()
		} else {
			label = `""`
		}
		if !strings.HasPrefix(r.rest, "{") {
			return found, fmt.Errorf("expected { after %s, got %.20q", name, r.rest)
		}
		r.rest = r.rest[1:]
		block, err := r.body("}")
		if err != nil {
			return found, err
		}
		block.name, block.label = name, unquoted(label)
		found.blocks = append(found.blocks, block)
	}
}

// value reads an expression: to the end of the line, or of the brackets that are open there.
func (r *configReader) value() string {
	depth, index := 0, 0
	for index < len(r.rest) {
		rest := r.rest[index:]
		switch {
		case strings.HasPrefix(rest, `"`):
			index += max(1, len(alloyString.FindString(rest)))
			continue
		case strings.HasPrefix(rest, "//"):
			index += len(alloyComment.FindString(rest))
			continue
		case strings.ContainsRune("([{", rune(rest[0])):
			depth++
		case depth > 0 && strings.ContainsRune(")]}", rune(rest[0])):
			depth--
		case depth == 0 && (rest[0] == '\n' || rest[0] == '}'):
			value := r.rest[:index]
			r.rest = rest
			return strings.TrimSpace(value)
		}
		index++
	}
	value := r.rest
	r.rest = ""
	return strings.TrimSpace(value)
}
