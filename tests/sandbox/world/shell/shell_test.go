package shell

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// run gives what a script prints and its exit code, with http://open/ as the only server.
func run(script string) ([]string, int32) {
	lines := []string{}
	interpreter := Shell{
		Print: func(line string) { lines = append(lines, line) },
		Get: func(_ context.Context, request Request) (string, error) {
			if request.Address != "http://open/" {
				return "", errors.New("download timed out")
			}
			return "first\nsecond\n", nil
		},
	}
	code := interpreter.Run(context.Background(), script)
	return lines, code
}

func TestScripts(t *testing.T) {
	for _, row := range []struct {
		script string
		lines  []string
		code   int32
	}{
		{`echo a  "b  c" 'd "e" $f'`, []string{`a b  c d "e" $f`}, 0},
		{`echo "say \"hi\" \n"; sleep 0.01`, []string{`say "hi" \n`}, 0},
		{"echo a\necho b", []string{"a", "b"}, 0},
		{"true && echo yes || echo no", []string{"yes"}, 0},
		{"false && echo yes || echo no", []string{"no"}, 0},
		{"false; echo after", []string{"after"}, 0},
		{"echo a; exit 3; echo b", []string{"a"}, 3},
		{"false; exit", []string{}, 1},
		{"wget -q -T 3 -O /dev/null http://open/ && echo open", []string{"open"}, 0},
		{"wget -qO- http://open/", []string{"first", "second"}, 0},
		{"wget -T 3 -qO- open/", []string{"first", "second"}, 0},
		{"wget -q -T 3 -O /dev/null http://shut/", []string{"wget: download timed out"}, 1},
		{"wget -q -T 3 -O /dev/null http://shut/ >/dev/null 2>&1 || echo shut", []string{"shut"}, 0},
	} {
		lines, code := run(row.script)
		if !slices.Equal(lines, row.lines) || code != row.code {
			t.Errorf("%s: %q, exit %d; expected %q, exit %d", row.script, lines, code, row.lines, row.code)
		}
	}
}

func TestUnknownSyntaxIsAnErrorAndRunsNothing(t *testing.T) {
	for _, script := range []string{
		"echo a; curl http://open/", "echo a | cat", "echo $HOME", "echo `date`", "echo a &", "if true; then echo a; fi", "echo 'a",
		"&& echo a", "echo a &&", "echo a > /tmp/file",
	} {
		lines, code := run(script)
		if code != 127 || len(lines) != 1 || !strings.HasPrefix(lines[0], "sh: ") {
			t.Errorf("%s: %q, exit %d", script, lines, code)
		}
	}
}

func TestCancelledScriptStops(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	lines := []string{}
	interpreter := Shell{Print: func(line string) { lines = append(lines, line); stop() }}
	began := time.Now()
	if code := interpreter.Run(ctx, "echo a; sleep 60; echo b"); code != 137 || len(lines) != 1 || time.Since(began) > 10*time.Second {
		t.Errorf("%q, exit %d", lines, code)
	}
}
