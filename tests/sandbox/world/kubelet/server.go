package kubelet

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"

	core "k8s.io/api/core/v1"

	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/sandbox"
)

// Handler serves the port of all kubelets; requests other than logs and port-forwards go to kwok.
func (k *Kubelet) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.containerLogs)
	mux.HandleFunc("/portForward/{namespace}/{pod}", k.portForward)
	mux.Handle("/", &httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(&url.URL{Scheme: "http", Host: sandbox.Loopback(k.network.Ports.Kwok)})
		},
		FlushInterval: -1,
	})
	return mux
}

func (k *Kubelet) containerLogs(answer http.ResponseWriter, request *http.Request) {
	objects := k.network.Objects()
	namespace, name, container := request.PathValue("namespace"), request.PathValue("pod"), request.PathValue("container")
	options, err := readLogOptions(request.URL.Query())
	if err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	lines := func() ([]Line, error) {
		pod, err := objects.Pods.Pods(namespace).Get(name)
		if err != nil {
			return nil, err
		}
		return k.linesOf(pod, container, options.previous)
	}
	read, err := lines()
	if err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	output := &limited{answer: answer, left: options.limit}
	output.print(options.choose(read), options.timestamps)
	for seen := len(read); options.follow; {
		if !sandbox.Sleep(request.Context(), 250*time.Millisecond) {
			return
		}
		if read, err = lines(); err != nil || len(read) < seen {
			return
		}
		output.print(read[seen:], options.timestamps)
		seen = len(read)
	}
}

// linesOf gives the log of a container: that of its backend, and the lines of its scenario. While a container waits for a
// restart, its log is that of the instance that ended.
func (k *Kubelet) linesOf(pod *core.Pod, name string, previous bool) ([]Line, error) {
	status := core.ContainerStatus{}
	for _, each := range cluster.ContainerStatuses(pod) {
		if each.Name == name {
			status = each
		}
	}
	waiting, ended := status.State.Waiting, status.LastTerminationState.Terminated != nil
	switch {
	case previous && !ended:
		return nil, fmt.Errorf("previous terminated container %q in pod %q not found", name, pod.Name)
	case previous && waiting == nil:
		return k.logs.Read(pod, name, true), nil
	case waiting != nil && !ended:
		return nil, fmt.Errorf("container %q in pod %q is waiting to start: %s", name, pod.Name, whyWaiting(waiting.Reason))
	case status.State.Running != nil:
		output, err := k.output(pod, name)
		lines, now := []Line{}, time.Now()
		for _, text := range output {
			lines = append(lines, Line{now, text})
		}
		return append(lines, k.logs.Read(pod, name, false)...), err
	}
	return k.logs.Read(pod, name, false), nil
}

func whyWaiting(reason string) string {
	switch reason {
	case "ErrImagePull":
		return "image can't be pulled"
	case "ImagePullBackOff":
		return "trying and failing to pull image"
	default:
		return reason
	}
}

// logOptions are the query parameters of a log request.
type logOptions struct {
	previous, follow, timestamps bool
	tail, limit                  int
	since                        time.Time
}

func readLogOptions(query url.Values) (logOptions, error) {
	options := logOptions{
		previous: query.Get("previous") == "true", follow: query.Get("follow") == "true",
		timestamps: query.Get("timestamps") == "true", tail: -1, limit: -1,
	}
	seconds := -1
	for key, target := range map[string]*int{"tailLines": &options.tail, "limitBytes": &options.limit, "sinceSeconds": &seconds} {
		if text := query.Get(key); text != "" {
			number, err := strconv.Atoi(text)
			if err != nil {
				return options, fmt.Errorf("%s: %w", key, err)
			}
			*target = number
		}
	}
	if seconds >= 0 {
		options.since = time.Now().Add(-time.Duration(seconds) * time.Second)
	}
	if text := query.Get("sinceTime"); text != "" {
		since, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return options, err
		}
		options.since = since
	}
	return options, nil
}

// choose gives the requested lines.
func (o logOptions) choose(lines []Line) []Line {
	for len(lines) > 0 && lines[0].At.Before(o.since) {
		lines = lines[1:]
	}
	if o.tail >= 0 {
		lines = lines[max(0, len(lines)-o.tail):]
	}
	return lines
}

// limited writes lines until the limit, if there is one, is reached.
type limited struct {
	answer http.ResponseWriter
	left   int
}

func (l *limited) print(lines []Line, timestamps bool) {
	for _, line := range lines {
		text := line.Text + "\n"
		if timestamps {
			text = line.At.UTC().Format(time.RFC3339Nano) + " " + text
		}
		if l.left >= 0 {
			text = text[:min(len(text), l.left)]
			l.left -= len(text)
		}
		_, _ = l.answer.Write([]byte(text))
	}
	_ = http.NewResponseController(l.answer).Flush()
}
