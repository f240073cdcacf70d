package alertmanager

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
)

func TestAlertsStartAndEnd(t *testing.T) {
	dropsAlerts := false
	manager := &server{pod: &core.Pod{}, alerts: map[string]*alert{}, dropsAlerts: func() bool { return dropsAlerts }}
	handler := manager.handler()
	post := func(text string) int {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/api/v2/alerts", strings.NewReader(text)))
		return answer.Code
	}
	shown := func(filters ...string) []string {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/api/v2/alerts?"+url.Values{"filter": filters}.Encode(), nil))
		var list []struct{ Labels map[string]string }
		if err := json.Unmarshal(answer.Body.Bytes(), &list); err != nil {
			t.Fatal(err)
		}
		names := []string{}
		for _, found := range list {
			names = append(names, found.Labels["alertname"])
		}
		slices.Sort(names)
		return names
	}
	expect := func(found []string, names ...string) {
		t.Helper()
		if !slices.Equal(found, names) {
			t.Errorf("%q, expected %q", found, names)
		}
	}
	post(`[{"labels": {"alertname": "A"}}, {"labels": {"alertname": "B", "severity": "none"}}]`)
	expect(shown(), "A", "B")
	expect(shown(`alertname="A"`), "A")
	expect(shown(`alertname=~"A|B"`, `severity!="none"`), "A")
	expect(shown(`alertname=C`))
	post(`[{"labels": {"alertname": "A"}, "endsAt": "2020-01-01T00:00:00Z"}]`)
	expect(shown(), "B")
	if code := post(`[{"labels": {}}]`); code != http.StatusBadRequest {
		t.Errorf("an alert without labels: %d", code)
	}
	dropsAlerts = true
	if code := post(`[{"labels": {"alertname": "D"}}]`); code != http.StatusOK {
		t.Errorf("dropped alert: %d", code)
	}
	expect(shown())
	dropsAlerts = false
	expect(shown(), "B")
}
