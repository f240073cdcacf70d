package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// lokiWanted: a small server that reads the installed Loki configuration and answers as the documented HTTP API does.
func (w *world) lokiWanted(v *view, store *lokiStore) *wanted {
	pods := v.readyPods("loki")
	if len(pods) == 0 {
		return nil
	}
	text, ok := v.configMapOf(pods[0], "config.yaml")
	if !ok {
		return nil
	}
	return &wanted{fingerprint: string(pods[0].UID), start: func() (running, error) {
		loki, err := newLoki(text, store)
		if err != nil {
			return nil, err
		}
		// Loki itself says "not ready" for 15 s after its ingester is.
		loki.readyAt = time.Now().Add(2 * time.Second)
		if w.Slow {
			loki.readyAt = time.Now().Add(15 * time.Second)
		}
		started, err := w.listen(w.Ports.Loki, "", loki)
		if err != nil {
			return nil, err
		}
		return started, nil
	}}
}

type entry struct {
	at   time.Time
	line string
}

// lokiStore is what lies on Loki's volume: it outlives the pod.
type lokiStore struct {
	mutex   sync.Mutex
	streams map[string]*stream
}

type stream struct {
	labels  map[string]string
	entries []entry
}

type loki struct {
	config  map[string]any
	tenants bool
	quorum  bool
	readyAt time.Time
	store   *lokiStore
}

func dig(value any, keys ...string) any {
	for _, key := range keys {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	return value
}

// newLoki refuses what Loki refuses.
func newLoki(text string, store *lokiStore) (*loki, error) {
	config := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return nil, fmt.Errorf("failed parsing config: %w", err)
	}
	if dig(config, "compactor", "retention_enabled") == true && dig(config, "compactor", "delete_request_store") == nil {
		return nil, errors.New("compactor.delete-request-store should be configured when retention is enabled")
	}
	if schemas, _ := dig(config, "schema_config", "configs").([]any); len(schemas) == 0 {
		return nil, errors.New("schema_config: no schema")
	}
	factor, set := dig(config, "common", "replication_factor").(float64)
	l := &loki{config: config, tenants: config["auth_enabled"] != false, quorum: set && factor == 1, store: store}
	normalise(config)
	return l, nil
}

var hours = regexp.MustCompile(`^(\d+)h$`)

// normalise writes durations as Loki's /config prints them.
func normalise(value any) {
	object, ok := value.(map[string]any)
	if !ok {
		return
	}
	for key, value := range object {
		if text, ok := value.(string); ok {
			if match := hours.FindStringSubmatch(text); match != nil {
				count, _ := strconv.Atoi(match[1])
				switch {
				case count > 0 && count%168 == 0:
					object[key] = fmt.Sprintf("%dw", count/168)
				case count > 0 && count%24 == 0:
					object[key] = fmt.Sprintf("%dd", count/24)
				}
			}
		}
		normalise(value)
	}
}

func (l *loki) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	path := request.URL.Path
	switch {
	case path == "/ready" && time.Now().Before(l.readyAt):
		http.Error(answer, "Ingester not ready: waiting for 15s after being ready", http.StatusServiceUnavailable)
	case path == "/ready":
		fmt.Fprintln(answer, "ready")
	case path == "/config":
		shown := map[string]any{"table_manager": map[string]any{"retention_period": "0s"}}
		for key, value := range l.config {
			shown[key] = value
		}
		text, _ := yaml.Marshal(shown)
		_, _ = answer.Write(text)
	case path == "/metrics":
		fmt.Fprint(answer, "# TYPE loki_build_info gauge\nloki_build_info{version=\"sandbox\"} 1\n")
	case l.tenants && request.Header.Get("X-Scope-OrgID") == "":
		http.Error(answer, "no org id", http.StatusUnauthorized)
	case path == "/loki/api/v1/push" && request.Method == http.MethodPost:
		l.push(answer, request)
	case path == "/loki/api/v1/query":
		writeJSON(answer, http.StatusOK, map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": []any{
			map[string]any{"metric": map[string]any{}, "value": []any{time.Now().Unix(), "2"}}}}})
	case path == "/loki/api/v1/query_range":
		l.query(answer, request)
	case strings.HasPrefix(path, "/loki/api/v1/label/") && strings.HasSuffix(path, "/values"):
		l.values(answer, strings.TrimSuffix(strings.TrimPrefix(path, "/loki/api/v1/label/"), "/values"))
	default:
		http.Error(answer, "the sandbox's Loki does not model "+path, http.StatusNotImplemented)
	}
}

func (l *loki) push(answer http.ResponseWriter, request *http.Request) {
	if !l.quorum {
		http.Error(answer, "at least 2 live replicas required, could only find 1", http.StatusInternalServerError)
		return
	}
	var body struct {
		Streams []struct {
			Stream map[string]string
			Values [][]any
		}
	}
	if err := json.NewDecoder(request.Body).Decode(&body); err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	l.store.mutex.Lock()
	defer l.store.mutex.Unlock()
	if l.store.streams == nil {
		l.store.streams = map[string]*stream{}
	}
	for _, pushed := range body.Streams {
		key := fmt.Sprint(pushed.Stream)
		kept := l.store.streams[key]
		if kept == nil {
			kept = &stream{labels: pushed.Stream}
			l.store.streams[key] = kept
		}
		for _, value := range pushed.Values {
			nanoseconds, _ := strconv.ParseInt(fmt.Sprint(value[0]), 10, 64)
			at := time.Unix(0, nanoseconds)
			if time.Since(at) > 168*time.Hour {
				http.Error(answer, "entry has timestamp too old", http.StatusBadRequest)
				return
			}
			kept.entries = append(kept.entries, entry{at, fmt.Sprint(value[1])})
			kept.entries = kept.entries[max(0, len(kept.entries)-100):]
		}
	}
	answer.WriteHeader(http.StatusNoContent)
}

var (
	matcher = regexp.MustCompile(`(\w+)\s*(=~|=)\s*"((?:[^"\\]|\\.)*)"`)
	filter  = regexp.MustCompile(`\|=\s*"((?:[^"\\]|\\.)*)"`)
)

func (l *loki) query(answer http.ResponseWriter, request *http.Request) {
	selector, rest, ok := strings.Cut(request.URL.Query().Get("query"), "}")
	if !ok || !strings.HasPrefix(selector, "{") {
		http.Error(answer, "parse error: the sandbox's Loki reads a stream selector and |= filters", http.StatusBadRequest)
		return
	}
	l.store.mutex.Lock()
	defer l.store.mutex.Unlock()
	result := []any{}
	for _, kept := range l.store.streams {
		if !matches(kept.labels, selector) {
			continue
		}
		values := []any{}
		for _, entry := range slices.Backward(kept.entries) {
			if contains(entry.line, rest) {
				values = append(values, []string{strconv.FormatInt(entry.at.UnixNano(), 10), entry.line})
			}
		}
		if len(values) > 0 {
			result = append(result, map[string]any{"stream": kept.labels, "values": values})
		}
	}
	writeJSON(answer, http.StatusOK, map[string]any{"status": "success", "data": map[string]any{"resultType": "streams", "result": result}})
}

func matches(stream map[string]string, selector string) bool {
	for _, part := range matcher.FindAllStringSubmatch(selector, -1) {
		value := stream[part[1]]
		if part[2] == "=" && value != part[3] {
			return false
		}
		if part[2] == "=~" {
			if expression, err := regexp.Compile("^(?:" + part[3] + ")$"); err != nil || !expression.MatchString(value) {
				return false
			}
		}
	}
	return true
}

func contains(line, pipeline string) bool {
	for _, part := range filter.FindAllStringSubmatch(pipeline, -1) {
		if !strings.Contains(line, part[1]) {
			return false
		}
	}
	return true
}

func (l *loki) values(answer http.ResponseWriter, label string) {
	l.store.mutex.Lock()
	defer l.store.mutex.Unlock()
	values := []string{}
	for _, kept := range l.store.streams {
		if value := kept.labels[label]; value != "" && !slices.Contains(values, value) {
			values = append(values, value)
		}
	}
	slices.Sort(values)
	writeJSON(answer, http.StatusOK, map[string]any{"status": "success", "data": values})
}

// alloyWanted: a small server that reads the installed configuration, lists its components, and carries what
// simulated pods write to where loki.write points.
func (w *world) alloyWanted(v *view) *wanted {
	pods := v.readyPods("alloy")
	if len(pods) == 0 {
		return nil
	}
	text, ok := v.configMapOf(pods[0], "config.alloy")
	if !ok {
		return nil
	}
	return &wanted{fingerprint: string(pods[0].UID), start: func() (running, error) {
		components, err := alloyComponents(text)
		if err != nil {
			return nil, err
		}
		mux := http.NewServeMux()
		mux.HandleFunc("GET /-/ready", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(answer, "Alloy is ready.") })
		mux.HandleFunc("GET /metrics", func(answer http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(answer, "# TYPE alloy_config_last_load_successful gauge\nalloy_config_last_load_successful 1\n")
		})
		mux.HandleFunc("GET /api/v0/web/components", func(answer http.ResponseWriter, _ *http.Request) {
			list := []any{}
			for _, name := range components {
				list = append(list, map[string]any{"localID": name, "health": map[string]any{"state": "healthy", "message": "started component"}})
			}
			writeJSON(answer, http.StatusOK, list)
		})
		started, err := w.listen(w.Ports.Alloy, "", mux)
		if err != nil {
			return nil, err
		}
		ctx, stop := context.WithCancel(context.Background())
		started.stopping = stop
		go w.carryLogs(ctx, text, components)
		return started, nil
	}}
}

var (
	block    = regexp.MustCompile(`(?m)^([a-z_]+(?:\.[a-z_]+)+) "([a-zA-Z_]\w*)" \{`)
	writeURL = regexp.MustCompile(`(?s)loki\.write "\w+" \{.*?url\s*=\s*"([^"]+)"`)
	comment  = regexp.MustCompile(`(?m)//.*$`)
	literal  = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
)

// alloyComponents refuses a configuration whose blocks do not close.
func alloyComponents(text string) ([]string, error) {
	bare := comment.ReplaceAllString(literal.ReplaceAllString(text, `""`), "")
	if strings.Count(bare, "{") != strings.Count(bare, "}") {
		return nil, errors.New("config.alloy: expected }, got EOF")
	}
	names := []string{}
	for _, match := range block.FindAllStringSubmatch(text, -1) {
		names = append(names, match[1]+"."+match[2])
	}
	if len(names) == 0 {
		return nil, errors.New("config.alloy: no components")
	}
	return names, nil
}

// linesAtOnce is how many pods write a line in the same moment.
const linesAtOnce = 200

// carryLogs: each ready pod writes a line now and then; it arrives where the configuration sends it.
func (w *world) carryLogs(ctx context.Context, text string, components []string) {
	target := writeURL.FindStringSubmatch(text)
	reads := slices.Contains(components, "discovery.kubernetes.pods") && slices.Contains(components, "loki.source.file.pods")
	if target == nil || !reads {
		return
	}
	begin := 0
	every(ctx, 2*time.Second, func() {
		streams := []any{}
		pods, _ := w.view().pods.List(labels.Everything())
		slices.SortFunc(pods, func(a, b *core.Pod) int { return strings.Compare(a.Name, b.Name) })
		for offset := range min(len(pods), linesAtOnce) {
			pod := pods[(begin+offset)%len(pods)]
			if !isReady(pod) {
				continue
			}
			stream := map[string]string{"namespace": pod.Namespace, "pod": pod.Name, "container": pod.Spec.Containers[0].Name, "node": pod.Spec.NodeName, "app": app(pod)}
			streams = append(streams, map[string]any{"stream": stream, "values": [][]string{{strconv.FormatInt(time.Now().UnixNano(), 10), "level=info msg=\"still here\""}}})
		}
		body, _ := json.Marshal(map[string]any{"streams": streams})
		begin += linesAtOnce
		// A Loki that is not there yet is tried again with the next lines.
		_, _, _ = w.ask(http.MethodPost, target[1], strings.NewReader(string(body)))
	})
}
