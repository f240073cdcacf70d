// Package exporters answers the scrapes of pods without a backend of their own, and forwards those of node-exporter to its
// process.
package exporters

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"tailwatch.dev/sandbox/world/sandbox"
)

type exporters struct {
	sandbox *sandbox.Sandbox

	mutex sync.Mutex
	// node is the last answer of node_exporter.
	node []byte
	read time.Time
}

// New answers for the pods of the sandbox.
func New(s *sandbox.Sandbox) http.Handler { return &exporters{sandbox: s} }

func (e *exporters) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	answer.Header().Set("Content-Type", "text/plain; version=0.0.4")
	if strings.HasSuffix(request.Host, ":9100") {
		text, err := e.nodeMetrics()
		if err != nil {
			http.Error(answer, err.Error(), http.StatusBadGateway)
			return
		}
		_, _ = answer.Write(text)
		return
	}
	fmt.Fprintf(answer, "# TYPE sandbox_exporter_info gauge\nsandbox_exporter_info{address=%q,path=%q} 1\n", request.Host, request.URL.Path)
	fmt.Fprint(answer, "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1.7e9\n")
}

// nodeMetrics asks node_exporter at most once a second: its process answers for every node.
func (e *exporters) nodeMetrics() ([]byte, error) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if time.Since(e.read) < time.Second {
		return e.node, nil
	}
	response, err := http.Get("http://" + sandbox.Loopback(e.sandbox.Ports.NodeExporter) + "/metrics")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if e.node, err = io.ReadAll(response.Body); err != nil {
		return nil, err
	}
	e.read = time.Now()
	return e.node, nil
}
