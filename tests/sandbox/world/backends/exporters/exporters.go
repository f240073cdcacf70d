// Package exporters models the metrics of node-exporter and kube-state-metrics.
package exporters

import (
	"fmt"
	"net/http"
	"strings"
)

// exporters answers with constant metrics for every exporter of the charts.
type exporters struct{ nodes int }

// New: kube-state-metrics lists this many nodes.
func New(nodes int) http.Handler { return exporters{nodes} }

func (e exporters) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	answer.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprintf(answer, "# TYPE sandbox_exporter_info gauge\nsandbox_exporter_info{address=%q,path=%q} 1\n", request.Host, request.URL.Path)
	fmt.Fprint(answer, "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1.7e9\n")
	switch {
	case strings.HasSuffix(request.Host, ":9100"):
		fmt.Fprint(answer, "# TYPE node_memory_MemAvailable_bytes gauge\nnode_memory_MemAvailable_bytes 9.6e10\n# TYPE node_load1 gauge\nnode_load1 0.4\n")
	case strings.HasSuffix(request.Host, ":8080"):
		fmt.Fprintf(answer, "# TYPE kube_node_info gauge\n")
		for number := range e.nodes {
			fmt.Fprintf(answer, "kube_node_info{node=\"node-%d\"} 1\n", number)
		}
	}
}
