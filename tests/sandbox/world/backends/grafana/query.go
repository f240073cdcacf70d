package grafana

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tailwatch.dev/sandbox/world/httpserver"
	"tailwatch.dev/sandbox/world/network"
)

// queryRequest is the body of /api/ds/query.
type queryRequest struct {
	From, To string
	Queries  []struct {
		RefID      string `json:"refId"`
		Datasource struct{ UID string }
		QueryType  string
		Expr       string
		MaxLines   int
	}
}

// query answers range queries of Loki with a frame of labels, times and lines.
func (g *server) query(answer http.ResponseWriter, request *http.Request, sources []dataSource) {
	var asked queryRequest
	if err := json.NewDecoder(request.Body).Decode(&asked); err != nil || len(asked.Queries) != 1 {
		httpserver.WriteJSON(answer, http.StatusBadRequest, map[string]any{"message": "bad request data"})
		return
	}
	query := asked.Queries[0]
	source := findSource(sources, query.Datasource.UID)
	since, ok := strings.CutPrefix(asked.From, "now-")
	length, err := time.ParseDuration(since)
	switch {
	case source == nil:
		httpserver.WriteJSON(answer, http.StatusNotFound, map[string]any{"message": "Data source not found"})
		return
	case source.Type != "loki" || query.QueryType != "range" || asked.To != "now" || !ok || err != nil:
		httpserver.WriteJSON(answer, http.StatusNotImplemented, map[string]any{"message": "the sandbox's Grafana models range queries of Loki that end now"})
		return
	}
	parameters := url.Values{"query": {query.Expr}, "since": {length.String()}, "limit": {fmt.Sprint(query.MaxLines)}}
	status, text, err := g.network.Ask(g.pod, network.Request{Method: http.MethodGet, Address: strings.TrimSuffix(source.URL, "/") + "/loki/api/v1/query_range?" + parameters.Encode()})
	if err != nil {
		status, text = http.StatusBadGateway, err.Error()
	}
	if status != http.StatusOK {
		httpserver.WriteJSON(answer, status, map[string]any{"results": map[string]any{query.RefID: map[string]any{"status": status, "error": text}}})
		return
	}
	var found struct {
		Data struct {
			Result []struct {
				Stream map[string]string
				Values [][]string
			}
		}
	}
	_ = json.Unmarshal([]byte(text), &found)
	labels, times, lines := []any{}, []any{}, []any{}
	for _, stream := range found.Data.Result {
		for _, value := range stream.Values {
			labels, times, lines = append(labels, stream.Stream), append(times, value[0]), append(lines, value[1])
		}
	}
	frame := map[string]any{"schema": map[string]any{"refId": query.RefID}, "data": map[string]any{"values": []any{labels, times, lines}}}
	httpserver.WriteJSON(answer, http.StatusOK, map[string]any{"results": map[string]any{query.RefID: map[string]any{"status": http.StatusOK, "frames": []any{frame}}}})
}
