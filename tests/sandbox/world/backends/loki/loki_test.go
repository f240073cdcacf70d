package loki

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

const lokiConfiguration = `auth_enabled: false
common: { replication_factor: 1 }
schema_config: { configs: [{ index: { period: 24h } }] }
limits_config: { retention_period: 168h, reject_old_samples_max_age: 36h }
compactor: { retention_enabled: true, delete_request_store: filesystem, compaction_interval: 10m }
`

func lokiFor(t *testing.T, fault string) *server {
	made, err := newServer(lokiConfiguration, &Store{})
	if err != nil {
		t.Fatal(err)
	}
	made.fault = func() string { return fault }
	return made
}

func pushed(l *server, at time.Time, lines ...string) int {
	values := []string{}
	for index, line := range lines {
		values = append(values, fmt.Sprintf(`["%d", %q, {"pod_uid": "u"}]`, at.Add(time.Duration(index)).UnixNano(), line))
	}
	body := `{"streams": [{"stream": {"namespace": "m", "app": "web"}, "values": [` + strings.Join(values, ",") + `]}]}`
	request := httptest.NewRequest(http.MethodPost, "/loki/api/v1/push", strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	l.ServeHTTP(answer, request)
	return answer.Code
}

// queried gives the status, the lines in their order and the labels of the first stream.
func queried(t *testing.T, l *server, query string) (int, []string, map[string]string) {
	answer := httptest.NewRecorder()
	l.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/loki/api/v1/query_range?"+query, nil))
	var body struct {
		Data struct {
			Result []struct {
				Stream map[string]string
				Values [][]string
			}
		}
	}
	if answer.Code != http.StatusOK {
		return answer.Code, nil, nil
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	lines, labels := []string{}, map[string]string{}
	for _, stream := range body.Data.Result {
		labels = stream.Stream
		for _, value := range stream.Values {
			lines = append(lines, value[1])
		}
	}
	return answer.Code, lines, labels
}

func TestQueries(t *testing.T) {
	l := lokiFor(t, "")
	if code := pushed(l, time.Now().Add(-time.Second), "one", "two", "three"); code != http.StatusNoContent {
		t.Fatalf("pushed: %d", code)
	}
	for query, expected := range map[string]string{
		`{app="web"}`:                           "three two one",
		`{app="web"}&direction=forward`:         "one two three",
		`{app="web"}&direction=forward&limit=1`: "one",
		`{app="web", namespace="m"} |= "t"`:     "three two",
		`{app="web"} |= "t" != "three"`:         "two",
		`{app=~"w.+"} |~ "^o"`:                  "one",
		`{app="web", namespace!="m"}`:           "",
		`{app="other"}`:                         "",
		`{app="web"}&start=` + nanoseconds(time.Minute) + "&end=" + nanoseconds(time.Hour): "",
		`{app="web"}&start=1&end=` + nanoseconds(-time.Hour):                               "",
	} {
		query, rest, _ := strings.Cut(query, "&")
		code, lines, _ := queried(t, l, "query="+url.QueryEscape(query)+"&"+rest)
		if code != http.StatusOK || strings.Join(lines, " ") != expected {
			t.Errorf("%s %s: %d %q", query, rest, code, lines)
		}
	}
	for _, query := range []string{"{}", `{app=~".*"}`, "app", `{app="web"} | json`, `{app="web"`, `sum(rate({app="web"}[1m]))`} {
		if code, _, _ := queried(t, l, "query="+url.QueryEscape(query)); code != http.StatusBadRequest {
			t.Errorf("%s: %d", query, code)
		}
	}
}

func nanoseconds(fromNow time.Duration) string { return fmt.Sprint(time.Now().Add(fromNow).UnixNano()) }

func TestLabelsOfALine(t *testing.T) {
	l := lokiFor(t, "")
	pushed(l, time.Now(), "level=warn")
	_, _, labels := queried(t, l, "query="+url.QueryEscape(`{service_name="web"}`))
	if labels["detected_level"] != "warn" || labels["pod_uid"] != "u" || labels["namespace"] != "m" {
		t.Errorf("%v", labels)
	}
}

func TestOfTwoEqualLinesOneIsKept(t *testing.T) {
	l, at := lokiFor(t, ""), time.Now().Add(-time.Second)
	pushed(l, at, "one")
	pushed(l, at, "one")
	pushed(l, at.Add(time.Millisecond), "one")
	if _, lines, _ := queried(t, l, "query="+url.QueryEscape(`{app="web"}`)); len(lines) != 2 {
		t.Errorf("%q", lines)
	}
}

func TestPushesThatAreRefused(t *testing.T) {
	if code := pushed(lokiFor(t, "read-only"), time.Now(), "one"); code != http.StatusInternalServerError {
		t.Errorf("read-only: %d", code)
	}
	l := lokiFor(t, "")
	if code := pushed(l, time.Now().Add(-200*time.Hour), "one"); code != http.StatusBadRequest {
		t.Errorf("an old line: %d", code)
	}
	if metrics := l.store.metrics(); !strings.Contains(metrics, `loki_discarded_samples_total{reason="greater_than_max_sample_age",tenant="fake"} 1`) {
		t.Error(metrics)
	}
}

func TestDurationsAsConfigPrintsThem(t *testing.T) {
	l := lokiFor(t, "")
	for path, expected := range map[string]string{
		"limits_config retention_period": "1w", "limits_config reject_old_samples_max_age": "1d12h", "compactor compaction_interval": "10m0s",
	} {
		section, key, _ := strings.Cut(path, " ")
		if found := field(l.config, section, key); found != expected {
			t.Errorf("%s: %v", path, found)
		}
	}
}
