package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// alertmanagerWanted: a small server that keeps the alerts it is sent, with the configuration that the operator made.
func (w *world) alertmanagerWanted(v *view) *wanted {
	pods := v.readyPods("alertmanager")
	if len(pods) == 0 {
		return nil
	}
	return &wanted{fingerprint: string(pods[0].UID), start: func() (running, error) {
		manager := &alertmanager{
			pod: pods[0], config: v.packed(pods[0], "alertmanager.yaml.gz"), began: time.Now(), alerts: map[string]*alert{},
			isDeaf: func() bool { fault, _ := w.fault("metrics"); return fault.Target == "alertmanager-deaf" },
		}
		started, err := w.listen(w.Ports.Alertmanager, "", manager.handler())
		if err != nil {
			return nil, err
		}
		return started, nil
	}}
}

// packed reads a key of the Secrets that a pod mounts: empty if none has it.
func (v *view) packed(pod *core.Pod, key string) string {
	for _, volume := range pod.Spec.Volumes {
		if volume.Secret == nil {
			continue
		}
		secret, err := v.secrets.Secrets(pod.Namespace).Get(volume.Secret.SecretName)
		if err != nil || secret.Data[key] == nil {
			continue
		}
		if unpacked, err := gzip.NewReader(bytes.NewReader(secret.Data[key])); err == nil {
			text, _ := io.ReadAll(unpacked)
			return string(text)
		}
	}
	return ""
}

type alertmanager struct {
	pod    *core.Pod
	config string
	began  time.Time
	isDeaf func() bool

	mutex  sync.Mutex
	alerts map[string]*alert
}

// alert as it is posted; what is left out of its times is filled in.
type alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	updatedAt    time.Time
}

// resolveTimeout is after what time an alert ends of which nothing more is heard.
const resolveTimeout = 5 * time.Minute

func (m *alertmanager) handler() http.Handler {
	mux := http.NewServeMux()
	plain := func(text string) http.HandlerFunc {
		return func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprint(answer, text) }
	}
	mux.HandleFunc("GET /-/ready", plain("OK"))
	mux.HandleFunc("GET /-/healthy", plain("OK"))
	mux.HandleFunc("GET /metrics", func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(answer, "# TYPE alertmanager_config_last_reload_successful gauge\nalertmanager_config_last_reload_successful 1\n")
		fmt.Fprint(answer, "# TYPE alertmanager_alerts gauge\n"+metricLine("alertmanager_alerts", len(m.active()), "state", "active"))
	})
	mux.HandleFunc("POST /api/v2/alerts", m.receive)
	mux.HandleFunc("GET /api/v2/alerts", m.list)
	mux.HandleFunc("GET /api/v2/status", func(answer http.ResponseWriter, _ *http.Request) {
		writeJSON(answer, http.StatusOK, map[string]any{
			"cluster": map[string]any{"name": m.pod.Name, "peers": []any{}, "status": "ready"},
			"config":  map[string]any{"original": m.config}, "uptime": m.began.UTC().Format(time.RFC3339),
			"versionInfo": map[string]any{"version": "sandbox"},
		})
	})
	return mux
}

func (m *alertmanager) receive(answer http.ResponseWriter, request *http.Request) {
	received := []*alert{}
	if err := json.NewDecoder(request.Body).Decode(&received); err != nil {
		writeJSON(answer, http.StatusBadRequest, "bad request: "+err.Error())
		return
	}
	now := time.Now()
	for _, posted := range received {
		if len(posted.Labels) == 0 {
			writeJSON(answer, http.StatusBadRequest, "at least one label pair required")
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
			writeJSON(answer, http.StatusBadRequest, "start time must be before end time")
			return
		}
		posted.updatedAt = now
	}
	if m.isDeaf() {
		return
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, posted := range received {
		m.alerts[fmt.Sprint(posted.Labels)] = posted
	}
}

// active are the alerts that have not ended.
func (m *alertmanager) active() []*alert {
	if m.isDeaf() {
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

func (m *alertmanager) list(answer http.ResponseWriter, request *http.Request) {
	matchers := selector{}
	for _, text := range request.URL.Query()["filter"] {
		found := alertFilter.FindStringSubmatch(text)
		if found == nil {
			writeJSON(answer, http.StatusBadRequest, "bad matcher format: "+text)
			return
		}
		if !strings.HasPrefix(found[3], `"`) {
			found[3] = fmt.Sprintf("%q", found[3])
		}
		matcher, err := newCondition(found[1], found[2], found[3])
		if err != nil {
			writeJSON(answer, http.StatusBadRequest, err.Error())
			return
		}
		matchers = append(matchers, matcher)
	}
	var config struct{ Route struct{ Receiver string } }
	_ = yaml.Unmarshal([]byte(m.config), &config)
	list := []map[string]any{}
	for _, found := range m.active() {
		if request.FormValue("active") == "false" || !matchers.match(found.Labels) {
			continue
		}
		list = append(list, map[string]any{
			"labels": found.Labels, "annotations": found.Annotations, "startsAt": found.StartsAt, "endsAt": found.EndsAt, "updatedAt": found.updatedAt,
			"generatorURL": found.GeneratorURL, "fingerprint": hash(fmt.Sprint(found.Labels))[:16], "receivers": []any{map[string]any{"name": config.Route.Receiver}},
			"status": map[string]any{"state": "active", "silencedBy": []string{}, "inhibitedBy": []string{}, "mutedBy": []string{}},
		})
	}
	slices.SortFunc(list, func(a, b map[string]any) int {
		return strings.Compare(fmt.Sprint(a["fingerprint"]), fmt.Sprint(b["fingerprint"]))
	})
	writeJSON(answer, http.StatusOK, list)
}
