package shell

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Request is the request of a wget command line.
type Request struct {
	Address, Body string
	Headers       []string
	Timeout       time.Duration
	spider        bool
	// output is `-` for the log; a file is discarded.
	output string
}

// parseWget reads -q, -S, -T SECONDS, -O FILE, -Y, --spider, --timeout, --header and --post-data.
func parseWget(arguments []string) (Request, error) {
	request := Request{Timeout: 900 * time.Second}
	for len(arguments) > 0 {
		argument := arguments[0]
		arguments = arguments[1:]
		name, value, given := strings.Cut(argument, "=")
		if !strings.HasPrefix(argument, "--") {
			name, value, given = argument, "", false
			if len(argument) > 2 && argument[0] == '-' {
				if flags := strings.TrimLeft(argument[1:], "qS"); flags != "" {
					name, value = "-"+flags[:1], flags[1:]
					given = value != ""
				} else {
					name = "-q"
				}
			}
		}
		takes := strings.Contains(" -T -O -Y -P --timeout --header --post-data --output-document ", " "+name+" ")
		if takes && !given {
			if len(arguments) == 0 {
				return request, fmt.Errorf("option requires an argument: %s", name)
			}
			value, arguments = arguments[0], arguments[1:]
		}
		switch name {
		case "-q", "-S", "-Y", "-P", "--no-check-certificate", "--quiet":
		case "-T", "--timeout":
			seconds, err := strconv.Atoi(value)
			if err != nil || seconds <= 0 {
				return request, fmt.Errorf("invalid number %q", value)
			}
			request.Timeout = time.Duration(seconds) * time.Second
		case "-O", "--output-document":
			request.output = value
		case "--header":
			request.Headers = append(request.Headers, value)
		case "--post-data":
			request.Body = value
		case "--spider":
			request.spider = true
		default:
			if strings.HasPrefix(argument, "-") || request.Address != "" {
				return request, fmt.Errorf("the sandbox's wget does not know %s", argument)
			}
			request.Address = argument
		}
	}
	if request.Address == "" {
		return request, errors.New("missing URL")
	}
	if !strings.Contains(request.Address, "://") {
		request.Address = "http://" + request.Address
	}
	return request, nil
}

func (s Shell) wget(ctx context.Context, arguments []string, print func(string)) int32 {
	request, err := parseWget(arguments)
	if err != nil {
		print("wget: " + err.Error())
		return exitNotFound
	}
	text, err := s.Get(ctx, request)
	if err != nil {
		print("wget: " + err.Error())
		return 1
	}
	if request.output == "-" && !request.spider && text != "" {
		for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			print(line)
		}
	}
	return 0
}
