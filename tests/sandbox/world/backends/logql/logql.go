// Package logql reads stream selectors and line filters of LogQL.
package logql

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Selector is `{label="value", …}`.
type Selector []matcher

// matcher is one matcher of a selector, or one line filter.
type matcher struct {
	label, operator, value string
	expression             *regexp.Regexp
}

var (
	matcherForm = regexp.MustCompile(`^\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|` + "`[^`]*`" + `)\s*`)
	filterForm  = regexp.MustCompile(`^\s*(\|=|\|~|!=|!~)\s*("(?:[^"\\]|\\.)*"|` + "`[^`]*`" + `)\s*`)
)

// ParseQuery reads a selector and the line filters behind it.
func ParseQuery(text string) (Selector, []matcher, error) {
	matchers, rest, err := cutSelector(text)
	if err != nil {
		return nil, nil, err
	}
	filters := []matcher{}
	for strings.TrimSpace(rest) != "" {
		found := filterForm.FindStringSubmatch(rest)
		if found == nil {
			return nil, nil, fmt.Errorf("parse error: the sandbox's Loki reads a stream selector and line filters, not %q", rest)
		}
		filter, err := NewMatcher("", found[1], found[2])
		if err != nil {
			return nil, nil, err
		}
		filters, rest = append(filters, filter), rest[len(found[0]):]
	}
	if !slices.ContainsFunc(matchers, func(matcher matcher) bool { return !matcher.holds("") }) {
		return nil, nil, errors.New("parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will")
	}
	return matchers, filters, nil
}

func ParseSelector(text string) (Selector, error) {
	matchers, rest, err := cutSelector(text)
	if err == nil && strings.TrimSpace(rest) != "" {
		err = fmt.Errorf("parse error: unexpected %q", rest)
	}
	return matchers, err
}

func cutSelector(text string) (Selector, string, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), "{")
	if !ok {
		return nil, "", fmt.Errorf("parse error at line 1, col 1: syntax error: unexpected %q, expecting {", text)
	}
	matchers := Selector{}
	for {
		rest = strings.TrimLeft(rest, " \n\t")
		if after, ok := strings.CutPrefix(rest, "}"); ok {
			return matchers, after, nil
		}
		found := matcherForm.FindStringSubmatch(rest)
		if found == nil {
			return nil, "", fmt.Errorf("parse error: syntax error in %q", rest)
		}
		matcher, err := NewMatcher(found[1], found[2], found[3])
		if err != nil {
			return nil, "", err
		}
		matchers, rest = append(matchers, matcher), strings.TrimPrefix(rest[len(found[0]):], ",")
	}
}

func NewMatcher(label, operator, quoted string) (matcher, error) {
	value, err := strconv.Unquote(quoted)
	if err != nil {
		return matcher{}, fmt.Errorf("parse error: %s: %w", quoted, err)
	}
	made := matcher{label: label, operator: operator, value: value}
	if strings.Contains(operator, "~") {
		// A matcher matches the whole value, a filter any part of the line.
		expression := value
		if label != "" {
			expression = "^(?:" + value + ")$"
		}
		if made.expression, err = regexp.Compile(expression); err != nil {
			return matcher{}, fmt.Errorf("parse error: %w", err)
		}
	}
	return made, nil
}

func (c matcher) holds(text string) bool {
	switch {
	case c.expression != nil:
		return c.expression.MatchString(text) == !strings.HasPrefix(c.operator, "!")
	case c.label != "":
		return (text == c.value) == (c.operator == "=")
	default:
		return strings.Contains(text, c.value) == (c.operator == "|=")
	}
}

func (s Selector) Match(labels map[string]string) bool {
	return !slices.ContainsFunc(s, func(matcher matcher) bool { return !matcher.holds(labels[matcher.label]) })
}

func Passes(line string, filters []matcher) bool {
	return !slices.ContainsFunc(filters, func(filter matcher) bool { return !filter.holds(line) })
}
