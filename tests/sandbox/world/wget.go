package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
)

// wgetRequest is what busybox' wget was told to do.
type wgetRequest struct {
	address, body string
	headers       []string
	timeout       time.Duration
	spider        bool
	// output is where the answer goes: `-` for the log, else a file that nobody reads.
	output string
}

// parseWget reads -q, -S, -T SECONDS, -O FILE, -Y, --spider, --timeout, --header and --post-data.
func parseWget(arguments []string) (wgetRequest, error) {
	request := wgetRequest{timeout: 900 * time.Second}
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
			request.timeout = time.Duration(seconds) * time.Second
		case "-O", "--output-document":
			request.output = value
		case "--header":
			request.headers = append(request.headers, value)
		case "--post-data":
			request.body = value
		case "--spider":
			request.spider = true
		default:
			if strings.HasPrefix(argument, "-") || request.address != "" {
				return request, fmt.Errorf("the sandbox's wget does not know %s", argument)
			}
			request.address = argument
		}
	}
	if request.address == "" {
		return request, errors.New("missing URL")
	}
	if !strings.Contains(request.address, "://") {
		request.address = "http://" + request.address
	}
	return request, nil
}

func (s shell) wget(ctx context.Context, arguments []string, print func(string)) int32 {
	request, err := parseWget(arguments)
	if err != nil {
		print("wget: " + err.Error())
		return notUnderstood
	}
	text, err := s.get(ctx, request)
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

// getFrom makes a request from a pod, with the errors of busybox' wget.
func (w *world) getFrom(ctx context.Context, pod *core.Pod, request wgetRequest) (string, error) {
	address, err := url.Parse(request.address)
	if err != nil || address.Scheme != "http" {
		return "", fmt.Errorf("not an http or ftp url: %s", request.address)
	}
	target := fullName(address, pod.Namespace)
	if !w.view().isKnown(target) {
		return "", fmt.Errorf("bad address '%s'", address.Hostname())
	}
	ctx, cancel := context.WithTimeout(ctx, request.timeout)
	defer cancel()
	found, ok := w.view().find(target)
	if ok && !w.admits(pod, found) {
		<-ctx.Done()
		return "", errors.New("download timed out")
	}
	refused := fmt.Errorf("can't connect to remote host (%s): Connection refused", address.Hostname())
	if !ok {
		return "", refused
	}
	method := http.MethodGet
	if request.body != "" {
		method = http.MethodPost
	}
	address.Host, address.Scheme = w.local(found), "http"
	made, err := http.NewRequestWithContext(ctx, method, address.String(), bytes.NewReader([]byte(request.body)))
	if err != nil {
		return "", err
	}
	made.Host = target
	for _, header := range request.headers {
		name, value, _ := strings.Cut(header, ":")
		made.Header.Set(name, strings.TrimSpace(value))
	}
	answer, err := http.DefaultTransport.RoundTrip(made)
	switch {
	case ctx.Err() != nil:
		return "", errors.New("download timed out")
	case err != nil:
		return "", refused
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return "", fmt.Errorf("server returned error: HTTP/1.1 %s", answer.Status)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	return string(text), err
}

// fullName gives HOST:PORT as the resolver of a pod in a namespace would complete it.
func fullName(address *url.URL, namespace string) string {
	host, port := address.Hostname(), address.Port()
	if port == "" {
		port = "80"
	}
	switch strings.Count(host, ".") {
	case 0:
		host += "." + namespace + ".svc"
	case 1:
		host += ".svc"
	}
	return host + ":" + port
}
