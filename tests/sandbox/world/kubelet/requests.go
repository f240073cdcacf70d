package kubelet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	core "k8s.io/api/core/v1"

	"tailwatch.dev/sandbox/world/shell"
)

// get makes a request from a pod, with the errors of busybox' wget.
func (k *Kubelet) get(ctx context.Context, pod *core.Pod, request shell.Request) (string, error) {
	address, err := url.Parse(request.Address)
	if err != nil || address.Scheme != "http" {
		return "", fmt.Errorf("not an http or ftp url: %s", request.Address)
	}
	target := fullName(address, pod.Namespace)
	if !k.network.Objects().IsKnown(target) {
		return "", fmt.Errorf("bad address '%s'", address.Hostname())
	}
	ctx, cancel := context.WithTimeout(ctx, request.Timeout)
	defer cancel()
	found, ok := k.network.Objects().Find(target)
	if ok && !k.network.Allows(pod, found) {
		<-ctx.Done()
		return "", errors.New("download timed out")
	}
	refused := fmt.Errorf("can't connect to remote host (%s): Connection refused", address.Hostname())
	if !ok {
		return "", refused
	}
	method := http.MethodGet
	if request.Body != "" {
		method = http.MethodPost
	}
	address.Host, address.Scheme = k.network.Local(found), "http"
	made, err := http.NewRequestWithContext(ctx, method, address.String(), bytes.NewReader([]byte(request.Body)))
	if err != nil {
		return "", err
	}
	made.Host = target
	for _, header := range request.Headers {
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
