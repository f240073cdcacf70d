package alloy

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"tailwatch.dev/sandbox/world/httpserver"
	"tailwatch.dev/sandbox/world/kubelet"
	"tailwatch.dev/sandbox/world/network"
)

// instance is the Alloy of one pod.
type instance struct {
	fleet    *Fleet
	pod      *core.Pod
	pipeline *pipeline
	server   *httpserver.Server
	port     int

	mutex sync.Mutex
	// files are the read files by source and path.
	files  map[[2]string]*readFile
	writes map[string]*writer
}

type readFile struct {
	pod   types.UID
	lines int
	// held: one line is read and waits for loki.write.
	held bool
}

// writer is the queue and the counters of one loki.write.
type writer struct {
	block                  configBlock
	sent, dropped, retries int
	queue                  []queued
	sending                bool
}

type queued struct {
	delivery
	due time.Time
}

// The retries of loki.write (Alloy's reference of the component: min_backoff_period, max_backoff_period,
// max_backoff_retries).
const (
	minBackoff = 500 * time.Millisecond
	maxBackoff = 5 * time.Minute
	maxRetries = 10
)

// deliveryDelay is the delay of the fault `logs=delayed`.
const deliveryDelay = 20 * time.Second

// read reads lines of a file for the sources that select it, and gives the number of lines read. During the retries of a
// batch each source reads only one line.
func (a *instance) read(file logFile, lines []kubelet.Line) int {
	readers := a.pipeline.readers(file, a.pod.Spec.NodeName)
	fault, _ := a.fleet.network.Fault("logs")
	switch {
	case len(readers) == 0:
		return 0
	case fault.Target == "lost-before-alloy":
		return len(lines)
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	blocked := a.isBlocked()
	if blocked {
		lines = lines[:1]
	}
	for source, labels := range readers {
		key := [2]string{source, file.path()}
		if a.files[key] == nil {
			a.files[key] = &readFile{pod: file.pod.UID}
		}
		if a.files[key].held {
			return 0
		}
		a.files[key].held = blocked
		a.files[key].lines += len(lines)
		if fault.Target == "lost-in-alloy" {
			continue
		}
		for _, line := range lines {
			for _, arrived := range a.pipeline.forward(a.pipeline.blocks[source], logEntry{labels: labels, at: line.At, line: line.Text}) {
				a.enqueue(arrived, fault.Target)
			}
		}
	}
	return len(lines)
}

func (a *instance) enqueue(arrived delivery, fault string) {
	write := a.writes[arrived.write.id()]
	if write == nil {
		write = &writer{block: arrived.write}
		a.writes[arrived.write.id()] = write
	}
	entry := queued{delivery: arrived, due: time.Now()}
	switch fault {
	case "wrong-labels":
		delete(entry.labels, "namespace")
		delete(entry.labels, "pod")
	case "delayed":
		entry.due = entry.due.Add(deliveryDelay)
	}
	write.queue = append(write.queue, entry)
	if fault == "duplicated" {
		// Loki stores only one of two lines with the same nanosecond.
		entry.at = entry.at.Add(time.Millisecond)
		write.queue = append(write.queue, entry)
	}
}

// isBlocked: a batch that is being sent blocks the readers.
func (a *instance) isBlocked() bool {
	for _, write := range a.writes {
		if write.sending {
			return true
		}
	}
	return false
}

// forget drops the counters of files of deleted pods, as Alloy's tailers do.
func (a *instance) forget(pods map[types.UID]*core.Pod) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	maps.DeleteFunc(a.files, func(_ [2]string, file *readFile) bool { return pods[file.pod] == nil })
}

// flush starts to send the lines that are due.
func (a *instance) flush() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	now := time.Now()
	for _, write := range a.writes {
		if write.sending {
			continue
		}
		batch, rest := []queued{}, []queued{}
		for _, entry := range write.queue {
			if entry.due.After(now) {
				rest = append(rest, entry)
			} else {
				batch = append(batch, entry)
			}
		}
		if len(batch) > 0 {
			write.queue, write.sending = rest, true
			go a.send(write, batch)
		}
	}
}

// send retries until Loki accepts the batch, rejects it permanently, or the retries are used up.
func (a *instance) send(write *writer, batch []queued) {
	endpoint, _ := write.block.child("endpoint")
	body := pushBody(batch)
	count := func(counter *int, number int) {
		a.mutex.Lock()
		defer a.mutex.Unlock()
		*counter += number
	}
	defer func() {
		a.mutex.Lock()
		defer a.mutex.Unlock()
		write.sending = false
		for _, file := range a.files {
			file.held = false
		}
	}()
	wait := minBackoff
	for try := 0; ; try++ {
		status, text, err := a.fleet.network.Ask(a.pod, network.Request{
			Method: http.MethodPost, Address: endpoint.text("url", ""), Body: body, Tenant: endpoint.text("tenant_id", ""),
		})
		switch {
		case err == nil && status/100 == 2:
			count(&write.sent, len(batch))
			return
		case err == nil && status/100 == 4 && status != http.StatusTooManyRequests, try == maxRetries:
			a.fleet.network.Log("alloy", "error", fmt.Sprintf("final error sending batch, dropping data: %d %s", status, text))
			count(&write.dropped, len(batch))
			return
		}
		count(&write.retries, 1)
		time.Sleep(wait)
		wait = min(2*wait, maxBackoff)
		if a.fleet.Port(a.pod) == 0 {
			return
		}
	}
}

// pushBody is a batch as /loki/api/v1/push reads it.
func pushBody(batch []queued) string {
	streams := map[string]map[string]any{}
	for _, entry := range batch {
		key := fmt.Sprint(entry.labels)
		if streams[key] == nil {
			streams[key] = map[string]any{"stream": entry.labels, "values": [][]any{}}
		}
		value := []any{strconv.FormatInt(entry.at.UnixNano(), 10), entry.line}
		if len(entry.metadata) > 0 {
			value = append(value, entry.metadata)
		}
		streams[key]["values"] = append(streams[key]["values"].([][]any), value)
	}
	text, _ := json.Marshal(map[string]any{"streams": slices.Collect(maps.Values(streams))})
	return string(text)
}

func (a *instance) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/ready", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(answer, "Alloy is ready.") })
	mux.HandleFunc("GET /-/healthy", func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(answer, "All Alloy components are healthy.")
	})
	mux.HandleFunc("GET /metrics", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprint(answer, a.metrics()) })
	mux.HandleFunc("GET /api/v0/web/components", func(answer http.ResponseWriter, _ *http.Request) {
		httpserver.WriteJSON(answer, http.StatusOK, a.pipeline.componentList())
	})
	return mux
}

// metrics have the names and labels of Alloy 1.11 (its reference of loki.source.file and loki.write).
func (a *instance) metrics() string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	text := "# TYPE alloy_config_last_load_successful gauge\nalloy_config_last_load_successful 1\n"
	read, active := "", map[string]int{}
	for _, source := range a.pipeline.sources {
		if source.name == "loki.source.file" {
			active[source.id()] = 0
		}
	}
	for key, file := range a.files {
		if _, ok := active[key[0]]; ok {
			active[key[0]]++
			read += httpserver.MetricLine("loki_source_file_read_lines_total", file.lines, "component_id", key[0], "component_path", "/", "path", key[1])
		}
	}
	text += "# TYPE loki_source_file_files_active_total gauge\n"
	for source, count := range active {
		text += httpserver.MetricLine("loki_source_file_files_active_total", count, "component_id", source, "component_path", "/")
	}
	text += "# TYPE loki_source_file_read_lines_total counter\n" + read
	counters := []struct {
		name  string
		value func(*writer) int
		more  []string
	}{
		{"loki_write_sent_entries_total", func(w *writer) int { return w.sent }, nil},
		{"loki_write_dropped_entries_total", func(w *writer) int { return w.dropped }, []string{"reason", "ingester_error"}},
		{"loki_write_batch_retries_total", func(w *writer) int { return w.retries }, nil},
	}
	for _, counter := range counters {
		text += "# TYPE " + counter.name + " counter\n"
		for id, write := range a.writes {
			endpoint, _ := write.block.child("endpoint")
			address, _ := url.Parse(endpoint.text("url", ""))
			labels := []string{"component_id", id, "component_path", "/", "host", address.Host}
			labels = append(append(labels, counter.more...), "tenant", endpoint.text("tenant_id", ""))
			text += httpserver.MetricLine(counter.name, counter.value(write), labels...)
		}
	}
	return strings.TrimSuffix(text, "\n") + "\n"
}
