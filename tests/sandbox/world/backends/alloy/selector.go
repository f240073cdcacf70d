package alloy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// selector is a stream selector of LogQL: `{label="value", …}`.
type selector []matcher

type matcher struct {
	label   string
	negated bool
	value   *regexp.Regexp
}

var matcherForm = regexp.MustCompile(`^\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|` + "`[^`]*`" + `)\s*`)

func parseSelector(text string) (selector, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), "{")
	if !ok {
		return nil, fmt.Errorf("parse error at line 1, col 1: syntax error: unexpected %q, expecting {", text)
	}
	matchers := selector{}
	for {
		rest = strings.TrimLeft(rest, " \n\t")
		if rest == "}" {
			return matchers, nil
		}
		found := matcherForm.FindStringSubmatch(rest)
		if found == nil {
			return nil, fmt.Errorf("parse error: syntax error in %q", rest)
		}
		value, err := strconv.Unquote(found[3])
		if err != nil {
			return nil, fmt.Errorf("parse error: %s: %w", found[3], err)
		}
		if !strings.Contains(found[2], "~") {
			value = regexp.QuoteMeta(value)
		}
		expression, err := regexp.Compile("^(?:" + value + ")$")
		if err != nil {
			return nil, fmt.Errorf("parse error: %w", err)
		}
		matchers = append(matchers, matcher{found[1], strings.HasPrefix(found[2], "!"), expression})
		rest = strings.TrimPrefix(rest[len(found[0]):], ",")
	}
}

func (s selector) match(labels map[string]string) bool {
	return !slices.ContainsFunc(s, func(m matcher) bool { return m.value.MatchString(labels[m.label]) == m.negated })
}
