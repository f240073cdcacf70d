// Package shell models busybox' sh and wget as far as the scripts of probe pods and hooks need them.
package shell

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tailwatch.dev/sandbox/world/sandbox"
)

// The shell knows `echo`, `sleep`, `wget`, `true`, `false` and `exit`, joined by `;`, `&&`, `||` and line ends,
// words with quotes, output sent to /dev/null. A script with anything else does not start.

// step is one command; it runs after the one before by the operator between them.
type step struct {
	after string
	words []string
	// quiet: its output goes to /dev/null.
	quiet bool
}

// exitNotFound is the exit code for an unknown command or syntax.
const exitNotFound = 127

// parseScript reads a script; unknown syntax is an error.
func parseScript(text string) ([]step, error) {
	tokens, err := tokens(text)
	if err != nil {
		return nil, err
	}
	steps, current := []step{}, step{after: ";"}
	finish := func(operator string) error {
		switch {
		case len(current.words) > 0:
			steps = append(steps, current)
		case operator == "&&" || operator == "||" || current.after != ";":
			return fmt.Errorf("syntax error: there is no command beside %q", operator)
		}
		current = step{after: operator}
		return nil
	}
	for _, token := range tokens {
		switch {
		case token.operator == "quiet":
			current.quiet = true
		case token.operator != "":
			if err := finish(token.operator); err != nil {
				return nil, err
			}
		default:
			current.words = append(current.words, token.word)
		}
	}
	if err := finish(";"); err != nil {
		return nil, err
	}
	for _, step := range steps {
		if !slices.Contains([]string{"echo", "sleep", "wget", "true", "false", "exit"}, step.words[0]) {
			return nil, fmt.Errorf("%s: not found", step.words[0])
		}
	}
	return steps, nil
}

// token is a word, or an operator: `;`, `&&`, `||`, or `quiet` for a redirection to /dev/null.
type token struct{ word, operator string }

// redirections are the redirections that the shell knows, longest first.
var redirections = []string{">/dev/null 2>&1", "> /dev/null 2>&1", ">/dev/null", "> /dev/null", "2>/dev/null", "2>&1"}

func tokens(text string) ([]token, error) {
	found := []token{}
	for text = strings.TrimLeft(text, " \t"); text != ""; text = strings.TrimLeft(text, " \t") {
		if silencer := slices.IndexFunc(redirections, func(known string) bool { return strings.HasPrefix(text, known) }); silencer >= 0 {
			text = text[len(redirections[silencer]):]
			if strings.HasPrefix(redirections[silencer], ">") {
				found = append(found, token{operator: "quiet"})
			}
			continue
		}
		operator := ""
		for _, known := range []string{"&&", "||", ";", "\n"} {
			if strings.HasPrefix(text, known) {
				operator = known
				break
			}
		}
		if operator != "" {
			text = text[len(operator):]
			found = append(found, token{operator: strings.Replace(operator, "\n", ";", 1)})
			continue
		}
		word, rest, err := word(text)
		if err != nil {
			return nil, err
		}
		found, text = append(found, token{word: word}), rest
	}
	return found, nil
}

// word reads one word from the beginning, without its quotes.
func word(text string) (string, string, error) {
	var word strings.Builder
	quote := byte(0)
	for index := 0; index < len(text); index++ {
		character := text[index]
		switch {
		case quote == 0 && (character == ' ' || character == '\t' || character == '\n' || character == ';' ||
			strings.HasPrefix(text[index:], "&&") || strings.HasPrefix(text[index:], "||")):
			return word.String(), text[index:], nil
		case quote == 0 && (character == '\'' || character == '"'):
			quote = character
		case character == quote:
			quote = 0
		case character == '\\' && quote != '\'' && index+1 < len(text):
			index++
			// In double quotes it only escapes characters that are special there.
			if quote == '"' && !strings.ContainsRune("\"\\$`", rune(text[index])) {
				word.WriteByte('\\')
			}
			word.WriteByte(text[index])
		case quote != '\'' && (character == '$' || character == '`'):
			return "", "", fmt.Errorf("syntax error: the sandbox's shell expands nothing, near %q", text[index:])
		case quote == 0 && strings.ContainsRune("|&<>(){}*?[#~!", rune(character)):
			return "", "", fmt.Errorf("syntax error: the sandbox's shell does not support %q, near %q", character, text[index:])
		default:
			word.WriteByte(character)
		}
	}
	if quote != 0 {
		return "", "", errors.New("syntax error: unterminated quoted string")
	}
	return word.String(), "", nil
}

// Shell runs scripts: print takes each line that they write, get makes a request as wget would.
type Shell struct {
	Print func(line string)
	Get   func(ctx context.Context, request Request) (string, error)
	// withoutWget: the image has none.
	WithoutWget bool
}

// Run gives the exit code of a script; a context that ends kills it.
func (s Shell) Run(ctx context.Context, script string) int32 {
	steps, err := parseScript(script)
	if err != nil {
		s.Print("sh: " + err.Error())
		return exitNotFound
	}
	status := int32(0)
	for _, step := range steps {
		if ctx.Err() != nil {
			return 137
		}
		if (step.after == "&&" && status != 0) || (step.after == "||" && status == 0) {
			continue
		}
		if step.words[0] == "exit" {
			if len(step.words) == 1 {
				return status
			}
			code, err := strconv.ParseUint(step.words[1], 10, 8)
			if err != nil {
				s.Print("sh: exit: Illegal number: " + step.words[1])
				return 2
			}
			return int32(code)
		}
		status = s.execute(ctx, step)
	}
	return status
}

func (s Shell) execute(ctx context.Context, step step) int32 {
	print := s.Print
	if step.quiet {
		print = func(string) {}
	}
	arguments := step.words[1:]
	switch step.words[0] {
	case "echo":
		print(strings.Join(arguments, " "))
	case "false":
		return 1
	case "sleep":
		duration, err := sleepDuration(arguments)
		if err != nil {
			print("sleep: " + err.Error())
			return 1
		}
		sandbox.Sleep(ctx, duration)
	case "wget":
		if s.WithoutWget {
			print("sh: wget: not found")
			return exitNotFound
		}
		return s.wget(ctx, arguments, print)
	}
	return 0
}

// sleepDuration adds up `1`, `0.5`, `2m`, as busybox does.
func sleepDuration(arguments []string) (time.Duration, error) {
	if len(arguments) == 0 {
		return 0, errors.New("missing operand")
	}
	total := time.Duration(0)
	for _, argument := range arguments {
		if !strings.ContainsAny(argument, "smhd") {
			argument += "s"
		}
		if days, ok := strings.CutSuffix(argument, "d"); ok {
			count, err := strconv.Atoi(days)
			if err != nil {
				return 0, fmt.Errorf("invalid number %q", argument)
			}
			argument = fmt.Sprintf("%dh", 24*count)
		}
		duration, err := time.ParseDuration(argument)
		if err != nil || duration < 0 {
			return 0, fmt.Errorf("invalid number %q", argument)
		}
		total += duration
	}
	return total, nil
}
