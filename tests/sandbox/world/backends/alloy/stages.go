package alloy

import (
	"fmt"
	"maps"
	"regexp"
	"time"
)

// logEntry is a line on its way to Loki.
type logEntry struct {
	labels, metadata map[string]string
	// extracted are the values that stages read; they start as the labels of the line.
	extracted map[string]string
	at        time.Time
	line      string
}

// checkStages rejects stages that are not modelled.
func checkStages(stages []configBlock) error {
	for _, stage := range stages {
		var err error
		switch stage.name {
		case "stage.cri", "stage.docker":
			err = stage.unknown("max_partial_lines", "max_partial_line_size", "max_partial_line_size_truncate")
		case "stage.match":
			if _, err = parseSelector(stage.text("selector", "")); err == nil {
				err = checkStages(stage.blocks)
			}
		case "stage.drop":
			if err = stage.unknown("older_than", "expression", "drop_counter_reason"); err == nil {
				_, err = regexp.Compile(stage.text("expression", ""))
			}
			if err == nil {
				_, err = time.ParseDuration(stage.text("older_than", "0s"))
			}
		case "stage.label_drop", "stage.static_labels", "stage.structured_metadata":
			err = stage.unknown("values")
		default:
			err = fmt.Errorf("the sandbox's Alloy does not model %s", stage.name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pass applies stages to a line, and reports whether none drops it.
func (s *logEntry) pass(stages []configBlock) bool {
	for _, stage := range stages {
		switch stage.name {
		case "stage.cri", "stage.docker":
			s.labels["stream"] = "stdout"
		case "stage.match":
			matchers, _ := parseSelector(stage.text("selector", ""))
			if matchers.match(s.labels) && (!s.pass(stage.blocks) || stage.text("action", "keep") == "drop") {
				return false
			}
		case "stage.drop":
			if s.isDropped(stage) {
				return false
			}
		case "stage.label_drop":
			for _, key := range stage.list("values") {
				delete(s.labels, key)
			}
		case "stage.static_labels":
			maps.Copy(s.labels, stage.pairs("values"))
		case "stage.structured_metadata":
			s.metadata = maps.Clone(s.metadata)
			for key, from := range stage.pairs("values") {
				if from == "" {
					from = key
				}
				if value := s.extracted[from]; value != "" {
					if s.metadata == nil {
						s.metadata = map[string]string{}
					}
					s.metadata[key] = value
				}
			}
		}
	}
	return true
}

// isDropped: by its age or by an expression; with both, both have to match.
func (s *logEntry) isDropped(stage configBlock) bool {
	age, _ := time.ParseDuration(stage.text("older_than", "0s"))
	expression := stage.text("expression", "")
	if age > 0 && time.Since(s.at) <= age {
		return false
	}
	return expression == "" || regexp.MustCompile(expression).MatchString(s.line)
}
