// Package loki models Loki's HTTP API with the installed configuration.
package loki

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"tailwatch.dev/sandbox/world/backends"
	"tailwatch.dev/sandbox/world/backends/logql"
	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/httpserver"
	"tailwatch.dev/sandbox/world/network"
)

// Backend: a small server that reads the installed Loki configuration and answers as the documented HTTP API does.
func Backend(n *network.Network, store *Store) *backends.Backend {
	return &backends.Backend{Name: "loki", Desired: func(v *cluster.Objects) *backends.Desired { return desired(n, v, store) }}
}

func desired(n *network.Network, v *cluster.Objects, store *Store) *backends.Desired {
	pods := v.ReadyPods("loki")
	if len(pods) == 0 {
		return nil
	}
	text, ok := v.MountedConfig(pods[0], "config.yaml")
	if !ok {
		return nil
	}
	return &backends.Desired{Fingerprint: string(pods[0].UID), Start: func() (backends.Process, error) {
		loki, err := newServer(text, store)
		if err != nil {
			return nil, err
		}
		loki.name = pods[0].Name
		loki.fault = func() string { fault, _ := n.Fault("logs"); return fault.Target }
		// Loki is "not ready" for 15 s after its ingester is ready.
		loki.readyAt = time.Now().Add(2 * time.Second)
		if n.Slow {
			loki.readyAt = time.Now().Add(15 * time.Second)
		}
		started, err := httpserver.Listen(n.Ports.Loki, loki)
		if err != nil {
			return nil, err
		}
		return started, nil
	}}
}

type server struct {
	name    string
	config  map[string]any
	tenants bool
	quorum  bool
	readyAt time.Time
	store   *Store
	fault   func() string
}

func field(value any, keys ...string) any {
	for _, key := range keys {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	return value
}

// newServer rejects configuration that Loki rejects at start.
func newServer(text string, store *Store) (*server, error) {
	config := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return nil, fmt.Errorf("failed parsing config: %w", err)
	}
	if field(config, "compactor", "retention_enabled") == true && field(config, "compactor", "delete_request_store") == nil {
		return nil, errors.New("compactor.delete-request-store should be configured when retention is enabled")
	}
	if schemas, _ := field(config, "schema_config", "configs").([]any); len(schemas) == 0 {
		return nil, errors.New("schema_config: no schema")
	}
	factor, set := field(config, "common", "replication_factor").(float64)
	l := &server{config: config, tenants: config["auth_enabled"] != false, quorum: set && factor == 1, store: store}
	for section, value := range config {
		// Limits and schemas keep Prometheus' durations, all else Go's.
		formatDurations(value, section == "limits_config" || section == "schema_config")
	}
	return l, nil
}

var duration = regexp.MustCompile(`^(?:\d+(?:ms|[ywdhms]))+$`)

// formatDurations writes durations as Loki's /config prints them.
func formatDurations(value any, prometheus bool) {
	entries := map[any]any{}
	switch value := value.(type) {
	case map[string]any:
		for key, entry := range value {
			entries[key] = entry
			if text, ok := entry.(string); ok && duration.MatchString(text) {
				value[key] = formatDuration(text, prometheus)
			}
		}
	case []any:
		for index, entry := range value {
			entries[index] = entry
		}
	}
	for _, entry := range entries {
		formatDurations(entry, prometheus)
	}
}

// units of durations; an exact one is used only for a whole multiple.
var units = []struct {
	name   string
	length time.Duration
	exact  bool
}{
	{"y", 365 * 24 * time.Hour, true}, {"w", 7 * 24 * time.Hour, true}, {"d", 24 * time.Hour, false},
	{"h", time.Hour, false}, {"m", time.Minute, false}, {"s", time.Second, false}, {"ms", time.Millisecond, false},
}

func formatDuration(text string, prometheus bool) string {
	total := time.Duration(0)
	for _, part := range regexp.MustCompile(`(\d+)(ms|[ywdhms])`).FindAllStringSubmatch(text, -1) {
		count, _ := strconv.Atoi(part[1])
		for _, unit := range units {
			if unit.name == part[2] {
				total += time.Duration(count) * unit.length
			}
		}
	}
	switch {
	case !prometheus:
		return total.String()
	case total == 0:
		return "0s"
	}
	shown := ""
	for _, unit := range units {
		if count := total / unit.length; count > 0 && (!unit.exact || total%unit.length == 0) {
			shown += fmt.Sprintf("%d%s", count, unit.name)
			total -= count * unit.length
		}
	}
	return shown
}

func (l *server) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
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
		fmt.Fprint(answer, l.store.metrics())
	case path == "/ring":
		l.ring(answer, request)
	case l.tenants && request.Header.Get("X-Scope-OrgID") == "":
		http.Error(answer, "no org id", http.StatusUnauthorized)
	case path == "/loki/api/v1/push" && request.Method == http.MethodPost:
		l.push(answer, request)
	case path == "/loki/api/v1/query":
		l.instant(answer, request)
	case path == "/loki/api/v1/query_range":
		l.query(answer, request)
	case path == "/loki/api/v1/labels" || path == "/loki/api/v1/label":
		httpserver.WriteJSON(answer, http.StatusOK, map[string]any{"status": "success", "data": l.store.names()})
	case strings.HasPrefix(path, "/loki/api/v1/label/") && strings.HasSuffix(path, "/values"):
		label := strings.TrimSuffix(strings.TrimPrefix(path, "/loki/api/v1/label/"), "/values")
		httpserver.WriteJSON(answer, http.StatusOK, map[string]any{"status": "success", "data": l.store.values(label)})
	default:
		http.Error(answer, "the sandbox's Loki does not model "+path, http.StatusNotImplemented)
	}
}

// ring is the ingesters' ring: a page, or JSON by the Accept header.
func (l *server) ring(answer http.ResponseWriter, request *http.Request) {
	if !strings.Contains(request.Header.Get("Accept"), "application/json") {
		fmt.Fprintf(answer, "<html><title>Ring Status</title><table><tr><td>%s</td><td>ACTIVE</td></tr></table></html>", l.name)
		return
	}
	now := time.Now().UTC().Format(time.RFC3339)
	httpserver.WriteJSON(answer, http.StatusOK, map[string]any{"now": now, "shards": []any{map[string]any{
		"id": l.name, "state": "ACTIVE", "address": "127.0.0.1:9095", "timestamp": now, "zone": "", "tokens": []int{1}, "read_only": l.fault() == "read-only",
	}}})
}

func (l *server) push(answer http.ResponseWriter, request *http.Request) {
	switch {
	case !l.quorum:
		http.Error(answer, "at least 2 live replicas required, could only find 1", http.StatusInternalServerError)
		return
	case l.fault() == "read-only":
		http.Error(answer, "at least 1 live replicas required, could only find 0", http.StatusInternalServerError)
		return
	case !strings.HasPrefix(request.Header.Get("Content-Type"), "application/json"):
		http.Error(answer, "the sandbox's Loki reads JSON only", http.StatusUnsupportedMediaType)
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
	refusals := []string{}
	for _, pushed := range body.Streams {
		for _, value := range pushed.Values {
			entry, err := readEntry(value)
			if err == nil && len(pushed.Stream) == 0 {
				err = errors.New("error at least one label pair is required per stream")
			}
			if err == nil {
				err = l.store.receive(pushed.Stream, entry, l.fault() == "lost-in-loki")
			}
			if err != nil {
				refusals = append(refusals, err.Error())
			}
		}
	}
	if len(refusals) > 0 {
		http.Error(answer, strings.Join(refusals, "\n"), http.StatusBadRequest)
		return
	}
	answer.WriteHeader(http.StatusNoContent)
}

// readEntry reads [nanoseconds, line] or [nanoseconds, line, structured metadata].
func readEntry(value []any) (entry, error) {
	if len(value) < 2 {
		return entry{}, errors.New("an entry has a timestamp and a line")
	}
	nanoseconds, err := strconv.ParseInt(fmt.Sprint(value[0]), 10, 64)
	if err != nil {
		return entry{}, fmt.Errorf("invalid timestamp %v", value[0])
	}
	line, ok := value[1].(string)
	if !ok {
		return entry{}, errors.New("the line of an entry is a string")
	}
	found := entry{at: time.Unix(0, nanoseconds), line: line, metadata: map[string]string{}}
	if len(value) > 2 {
		object, _ := value[2].(map[string]any)
		for key, value := range object {
			found.metadata[key] = fmt.Sprint(value)
		}
	}
	return found, nil
}

// instant answers the one query that Grafana's health check of a data source makes.
func (l *server) instant(answer http.ResponseWriter, request *http.Request) {
	if query := strings.ReplaceAll(request.FormValue("query"), " ", ""); query != "vector(1)+vector(1)" {
		http.Error(answer, "the sandbox's Loki does not model the query "+query, http.StatusNotImplemented)
		return
	}
	httpserver.WriteJSON(answer, http.StatusOK, map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": []any{
		map[string]any{"metric": map[string]any{}, "value": []any{time.Now().Unix(), "2"}}}}})
}

func (l *server) query(answer http.ResponseWriter, request *http.Request) {
	matchers, filters, err := logql.ParseQuery(request.FormValue("query"))
	if err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	asked, err := readRange(request)
	if err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	found := l.store.find(matchers, func(entry entry) bool {
		return !entry.at.Before(asked.start) && entry.at.Before(asked.end) && logql.Passes(entry.line, filters)
	})
	slices.SortFunc(found, func(a, b foundEntry) int { return a.at.Compare(b.at) })
	if asked.backward {
		slices.Reverse(found)
	}
	found = found[:min(len(found), asked.limit)]
	httpserver.WriteJSON(answer, http.StatusOK, map[string]any{"status": "success", "data": map[string]any{"resultType": "streams", "result": streamsOf(found), "stats": map[string]any{}}})
}

// queryRange is the parameters of a range query.
type queryRange struct {
	start, end time.Time
	limit      int
	backward   bool
}

// readRange has Loki's defaults: the last hour, 100 lines, the newest first.
func readRange(request *http.Request) (queryRange, error) {
	asked := queryRange{end: time.Now(), limit: 100, backward: true}
	var err error
	if text := request.FormValue("end"); text != "" {
		if asked.end, err = readTime(text); err != nil {
			return asked, err
		}
	}
	asked.start = asked.end.Add(-time.Hour)
	if text := request.FormValue("since"); text != "" {
		since, err := time.ParseDuration(text)
		if err != nil {
			return asked, err
		}
		asked.start = asked.end.Add(-since)
	}
	if text := request.FormValue("start"); text != "" {
		if asked.start, err = readTime(text); err != nil {
			return asked, err
		}
	}
	if text := request.FormValue("limit"); text != "" {
		if asked.limit, err = strconv.Atoi(text); err != nil || asked.limit <= 0 {
			return asked, errors.New("limit must be a positive value")
		}
	}
	switch direction := strings.ToLower(request.FormValue("direction")); direction {
	case "", "backward":
	case "forward":
		asked.backward = false
	default:
		return asked, fmt.Errorf("invalid direction '%s'", direction)
	}
	if asked.end.Before(asked.start) {
		return asked, errors.New("end timestamp must not be before or equal to start time")
	}
	return asked, nil
}

// readTime reads nanoseconds, seconds with or without a fraction, or RFC 3339.
func readTime(text string) (time.Time, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && (strings.Contains(text, ".") || len(text) <= 10) {
		return time.Unix(0, int64(seconds*1e9)), nil
	}
	if nanoseconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(0, nanoseconds), nil
	}
	return time.Parse(time.RFC3339Nano, text)
}
