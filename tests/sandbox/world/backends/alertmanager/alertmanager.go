// Package alertmanager models Alertmanager's HTTP API.
package alertmanager

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"tailwatch.dev/sandbox/world/backends"
	"tailwatch.dev/sandbox/world/backends/logql"
	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/httpserver"
	"tailwatch.dev/sandbox/world/network"
	"tailwatch.dev/sandbox/world/sandbox"
)

// Backend: a small server that stores posted alerts, with the configuration of the operator.
func Backend(n *network.Network) *backends.Backend {
	return &backends.Backend{Name: "alertmanager", Desired: func(v *cluster.Objects) *backends.Desired { return desired(n, v) }}
}

func desired(n *network.Network, v *cluster.Objects) *backends.Desired {
	pods := v.ReadyPods("alertmanager")
	if len(pods) == 0 {
		return nil
	}
	return &backends.Desired{Fingerprint: string(pods[0].UID), Start: func() (backends.Process, error) {
		manager := &server{
			pod: pods[0], config: v.MountedGzip(pods[0], "alertmanager.yaml.gz"), began: time.Now(), alerts: map[string]*alert{},
			dropsAlerts: func() bool { fault, _ := n.Fault("metrics"); return fault.Target == "alertmanager-drops-alerts" },
		}
		started, err := httpserver.Listen(n.Ports.Alertmanager, manager.handler())
		if err != nil {
			return nil, err
		}
		return started, nil
	}}
}

type server struct {
	pod         *core.Pod
	config      string
	began       time.Time
	dropsAlerts func() bool

	mutex  sync.Mutex
	alerts map[string]*alert
}

// alert as it is posted; missing times are filled in.
type alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	updatedAt    time.Time
}

// resolveTimeout is the time after which an alert without an update ends.
const resolveTimeout = 5 * time.Minute

func (m *server) handler() http.Handler {
	mux := http.NewServeMux()
	plain := func(text string) http.HandlerFunc {
		return func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprint(answer, text) }
	}
	mux.HandleFunc("GET /-/ready", plain("OK"))
	mux.HandleFunc("GET /-/healthy", plain("OK"))
	mux.HandleFunc("GET /metrics", func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(answer, "# TYPE alertmanager_config_last_reload_successful gauge\nalertmanager_config_last_reload_successful 1\n")
		fmt.Fprint(answer, "# TYPE alertmanager_alerts gauge\n"+httpserver.MetricLine("alertmanager_alerts", len(m.active()), "state", "active"))
	})
	mux.HandleFunc("POST /api/v2/alerts", m.receive)
	mux.HandleFunc("GET /api/v2/alerts", m.list)
	mux.HandleFunc("GET /api/v2/status", func(answer http.ResponseWriter, _ *http.Request) {
		httpserver.WriteJSON(answer, http.StatusOK, map[string]any{
			"cluster": map[string]any{"name": m.pod.Name, "peers": []any{}, "status": "ready"},
			"config":  map[string]any{"original": m.config}, "uptime": m.began.UTC().Format(time.RFC3339),
			"versionInfo": map[string]any{"version": "sandbox"},
		})
	})
	return mux
}

func (m *server) receive(answer http.ResponseWriter, request *http.Request) {
	received := []*alert{}
	if err := json.NewDecoder(request.Body).Decode(&received); err != nil {
		httpserver.WriteJSON(answer, http.StatusBadRequest, "bad request: "+err.Error())
		return
	}
	now := time.Now()
	for _, posted := range received {
		if len(posted.Labels) == 0 {
			httpserver.WriteJSON(answer, http.StatusBadRequest, "at least one label pair required")
			return
		}
		if posted.StartsAt.IsZero() {
			posted.StartsAt = now
			if !posted.EndsAt.IsZero() && posted.EndsAt.Before(now) {
				posted.StartsAt = posted.EndsAt
			}
		}
		if posted.EndsAt.IsZero() {
			posted.EndsAt = now.Add(resolveTimeout)
		}
		if posted.EndsAt.Before(posted.StartsAt) {
			httpserver.WriteJSON(answer, http.StatusBadRequest, "start time must be before end time")
			return
		}
		posted.updatedAt = now
	}
	if m.dropsAlerts() {
		return
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, posted := range received {
		m.alerts[fmt.Sprint(posted.Labels)] = posted
	}
}

// active are the alerts that have not ended.
func (m *server) active() []*alert {
	if m.dropsAlerts() {
		return nil
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	found := []*alert{}
	for _, kept := range m.alerts {
		if kept.EndsAt.After(time.Now()) {
			found = append(found, kept)
		}
	}
	return found
}

var alertFilter = regexp.MustCompile(`^\{?\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*(.*?)\s*\}?$`)

func (m *server) list(answer http.ResponseWriter, request *http.Request) {
	matchers := logql.Selector{}
	for _, text := range request.URL.Query()["filter"] {
		found := alertFilter.FindStringSubmatch(text)
		if found == nil {
			httpserver.WriteJSON(answer, http.StatusBadRequest, "bad matcher format: "+text)
			return
		}
		if !strings.HasPrefix(found[3], `"`) {
			found[3] = fmt.Sprintf("%q", found[3])
		}
		matcher, err := logql.NewMatcher(found[1], found[2], found[3])
		if err != nil {
			httpserver.WriteJSON(answer, http.StatusBadRequest, err.Error())
			return
		}
		matchers = append(matchers, matcher)
	}
	var config struct{ Route struct{ Receiver string } }
	_ = yaml.Unmarshal([]byte(m.config), &config)
	list := []map[string]any{}
	for _, found := range m.active() {
		if request.FormValue("active") == "false" || !matchers.Match(found.Labels) {
			continue
		}
		list = append(list, map[string]any{
			"labels": found.Labels, "annotations": found.Annotations, "startsAt": found.StartsAt, "endsAt": found.EndsAt, "updatedAt": found.updatedAt,
			"generatorURL": found.GeneratorURL, "fingerprint": sandbox.Hash(fmt.Sprint(found.Labels))[:16], "receivers": []any{map[string]any{"name": config.Route.Receiver}},
			"status": map[string]any{"state": "active", "silencedBy": []string{}, "inhibitedBy": []string{}, "mutedBy": []string{}},
		})
	}
	slices.SortFunc(list, func(a, b map[string]any) int {
		return strings.Compare(fmt.Sprint(a["fingerprint"]), fmt.Sprint(b["fingerprint"]))
	})
	httpserver.WriteJSON(answer, http.StatusOK, list)
}
