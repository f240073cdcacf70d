package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// visitor is who asks Grafana: with a role in the organisation, or the server's admin.
type visitor struct {
	role        string
	serverAdmin bool
}

// recognise gives nobody to who is to sign in first, with the answer's message.
func (g *grafana) recognise(settings map[string]string, request *http.Request) (*visitor, string) {
	user, password, basic := request.BasicAuth()
	switch {
	case basic && settings["auth.basic.enabled"] == "true":
		if user != g.user || password != g.password {
			return nil, "Invalid username or password"
		}
		return &visitor{role: "Admin", serverAdmin: true}, ""
	case strings.HasPrefix(request.Header.Get("Authorization"), "Bearer "):
		return nil, "Invalid API key"
	case settings["auth.anonymous.enabled"] == "true" && settings["auth.anonymous.org_name"] == "Main Org.":
		return &visitor{role: settings["auth.anonymous.org_role"]}, ""
	}
	return nil, "Unauthorized"
}

func (g *grafana) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	settings, sources := g.running()
	path := request.URL.Path
	visitor, refusal := g.recognise(settings, request)
	switch {
	case path == "/api/health":
		writeJSON(answer, http.StatusOK, g.health(settings, visitor))
		return
	case path == "/metrics":
		fmt.Fprint(answer, "# TYPE grafana_build_info gauge\ngrafana_build_info{version=\"sandbox\"} 1\n")
		return
	case path == "/login":
		g.login(answer, request, settings)
		return
	case visitor == nil && !strings.HasPrefix(path, "/api/"):
		http.Redirect(answer, request, "/login", http.StatusFound)
		return
	case visitor == nil:
		writeJSON(answer, http.StatusUnauthorized, map[string]any{"message": refusal, "statusCode": 401})
		return
	}
	if needs := neededBy(path); needs != "" && !visitor.may(needs) {
		writeJSON(answer, http.StatusForbidden, map[string]any{
			"accessErrorId": "ACE0000000000", "title": "Access denied",
			"message": "You'll need additional permissions to perform this action. Permissions needed: " + needs,
		})
		return
	}
	g.answer(answer, request, visit{settings, sources, visitor})
}

// visit is a request's part that is known before its path is looked at.
type visit struct {
	settings map[string]string
	sources  []dataSource
	visitor  *visitor
}

func (g *grafana) answer(answer http.ResponseWriter, request *http.Request, v visit) {
	path := request.URL.Path
	rest := func(prefix string) string { return strings.TrimPrefix(path, prefix) }
	switch {
	case path == "/":
		fmt.Fprint(answer, "<html><title>Grafana</title><p>The sandbox's Grafana has an API and no pages.</p></html>")
	case path == "/api/org":
		writeJSON(answer, http.StatusOK, map[string]any{"id": 1, "name": "Main Org."})
	case path == "/api/org/users":
		writeJSON(answer, http.StatusOK, []any{map[string]any{"orgId": 1, "userId": 1, "login": g.user, "email": "admin@localhost", "role": "Admin"}})
	case path == "/api/admin/settings":
		writeJSON(answer, http.StatusOK, sections(v.settings))
	case path == "/api/frontend/settings":
		writeJSON(answer, http.StatusOK, frontend(v))
	case path == "/api/search":
		g.search(answer, request)
	case strings.HasPrefix(path, "/api/dashboards/uid/"):
		g.dashboard(answer, rest("/api/dashboards/uid/"))
	case path == "/api/datasources":
		list := []any{}
		for index, source := range v.sources {
			list = append(list, describedSource(index, source))
		}
		writeJSON(answer, http.StatusOK, list)
	case strings.HasPrefix(path, "/api/datasources/proxy/uid/"):
		uid, below, _ := strings.Cut(rest("/api/datasources/proxy/uid/"), "/")
		g.proxy(answer, request, proxied{findSource(v.sources, uid), below})
	case strings.HasPrefix(path, "/api/datasources/uid/"):
		uid, below, _ := strings.Cut(rest("/api/datasources/uid/"), "/")
		index := findSource(v.sources, uid)
		switch {
		case index == nil:
			writeJSON(answer, http.StatusNotFound, map[string]any{"message": "Data source not found"})
		case below == "health":
			g.askHealth(answer, *index)
		case below == "":
			writeJSON(answer, http.StatusOK, describedSource(slices.IndexFunc(v.sources, func(s dataSource) bool { return s.UID == uid }), *index))
		default:
			writeJSON(answer, http.StatusNotImplemented, map[string]any{"message": "the sandbox's Grafana does not model " + path})
		}
	default:
		writeJSON(answer, http.StatusNotImplemented, map[string]any{"message": "the sandbox's Grafana does not model " + path})
	}
}

// neededBy gives the permission that a path needs and not every role has.
func neededBy(path string) string {
	switch {
	case strings.HasPrefix(path, "/api/admin/"):
		return "settings:read"
	case path == "/api/org/users":
		return "org.users:read"
	default:
		return ""
	}
}

func (v *visitor) may(permission string) bool {
	return v.serverAdmin || (permission == "org.users:read" && v.role == "Admin")
}

// health shows its version to who is signed in, or to all where it is not hidden.
func (g *grafana) health(settings map[string]string, visitor *visitor) map[string]any {
	shown := map[string]any{"database": "ok"}
	if settings["auth.anonymous.hide_version"] != "true" || (visitor != nil && visitor.serverAdmin) {
		shown["version"] = g.version()
	}
	return shown
}

func (g *grafana) version() string {
	if main := container(g.pod, "grafana"); main != nil {
		return main.Image[strings.LastIndex(main.Image, ":")+1:]
	}
	return ""
}

// login is the page with the form, or without it, and what the form sends.
func (g *grafana) login(answer http.ResponseWriter, request *http.Request, settings map[string]string) {
	closed := settings["auth.disable_login_form"] == "true"
	if request.Method != http.MethodPost {
		fmt.Fprintf(answer, "<html><title>Grafana</title><script>window.grafanaBootData = {\"settings\": {\"disableLoginForm\": %t}};</script></html>", closed)
		return
	}
	var given struct{ User, Password string }
	_ = json.NewDecoder(request.Body).Decode(&given)
	switch {
	case closed:
		writeJSON(answer, http.StatusUnauthorized, map[string]any{"message": "Login is disabled"})
	case given.User != g.user || given.Password != g.password:
		writeJSON(answer, http.StatusUnauthorized, map[string]any{"message": "Invalid username or password", "messageId": "password-auth.failed", "statusCode": 401})
	default:
		writeJSON(answer, http.StatusOK, map[string]any{"message": "Logged in", "redirectUrl": "/"})
	}
}

// sections gives settings as /api/admin/settings does; what is secret is not shown.
func sections(settings map[string]string) map[string]map[string]string {
	shown := map[string]map[string]string{}
	for name, value := range settings {
		dot := strings.LastIndex(name, ".")
		if dot < 0 {
			continue
		}
		section, key := name[:dot], name[dot+1:]
		if shown[section] == nil {
			shown[section] = map[string]string{}
		}
		if strings.Contains(key, "password") || strings.Contains(key, "secret") {
			value = "*********"
		}
		shown[section][key] = value
	}
	return shown
}

func frontend(v visit) map[string]any {
	sources, byDefault := map[string]any{}, ""
	for index, source := range v.sources {
		sources[source.Name] = describedSource(index, source)
		if source.IsDefault {
			byDefault = source.Name
		}
	}
	return map[string]any{
		"anonymousEnabled": v.settings["auth.anonymous.enabled"] == "true", "disableLoginForm": v.settings["auth.disable_login_form"] == "true",
		"appUrl": v.settings["server.root_url"], "datasources": sources, "defaultDatasource": byDefault,
		"buildInfo": map[string]any{"hideVersion": v.settings["auth.anonymous.hide_version"] == "true" && !v.visitor.serverAdmin},
	}
}

func (g *grafana) search(answer http.ResponseWriter, request *http.Request) {
	list, limit := []any{}, 1000
	if text := request.FormValue("limit"); text != "" {
		limit, _ = strconv.Atoi(text)
	}
	// There are no folders.
	if kind := request.FormValue("type"); kind != "" && kind != "dash-db" {
		writeJSON(answer, http.StatusOK, list)
		return
	}
	for index, found := range g.dashboards() {
		if len(list) < limit && strings.Contains(strings.ToLower(found.title), strings.ToLower(request.FormValue("query"))) {
			list = append(list, map[string]any{
				"id": index + 1, "uid": found.uid, "title": found.title, "uri": "db/" + found.uid, "url": "/d/" + found.uid + "/" + found.uid,
				"type": "dash-db", "tags": []string{}, "isStarred": false,
			})
		}
	}
	writeJSON(answer, http.StatusOK, list)
}

func (g *grafana) dashboard(answer http.ResponseWriter, uid string) {
	for _, found := range g.dashboards() {
		if found.uid == uid {
			writeJSON(answer, http.StatusOK, map[string]any{"dashboard": found.content, "meta": map[string]any{"provisioned": true, "canSave": false}})
			return
		}
	}
	writeJSON(answer, http.StatusNotFound, map[string]any{"message": "Dashboard not found"})
}

func findSource(sources []dataSource, uid string) *dataSource {
	for index := range sources {
		if sources[index].UID == uid {
			return &sources[index]
		}
	}
	return nil
}

func describedSource(index int, source dataSource) map[string]any {
	return map[string]any{
		"id": index + 1, "uid": source.UID, "orgId": 1, "name": source.Name, "type": source.Type, "access": source.Access, "url": source.URL,
		"user": "", "database": "", "basicAuth": false, "isDefault": source.IsDefault, "jsonData": source.JSONData, "readOnly": true,
	}
}

// proxied is a request that Grafana passes on to a data source.
type proxied struct {
	source *dataSource
	path   string
}

func (g *grafana) proxy(answer http.ResponseWriter, asked *http.Request, to proxied) {
	if to.source == nil {
		writeJSON(answer, http.StatusNotFound, map[string]any{"message": "Unable to find datasource"})
		return
	}
	body, _ := io.ReadAll(asked.Body)
	address := strings.TrimSuffix(to.source.URL, "/") + "/" + to.path
	if asked.URL.RawQuery != "" {
		address += "?" + asked.URL.RawQuery
	}
	status, text, err := g.w.ask(g.pod, request{method: asked.Method, address: address, body: string(body), kind: asked.Header.Get("Content-Type")})
	if err != nil {
		http.Error(answer, err.Error(), http.StatusBadGateway)
		return
	}
	answer.Header().Set("Content-Type", "application/json")
	answer.WriteHeader(status)
	fmt.Fprintln(answer, text)
}

// askHealth asks the data source's backend at its configured URL, as Grafana does.
func (g *grafana) askHealth(answer http.ResponseWriter, source dataSource) {
	queries := map[string]string{"prometheus": "/api/v1/query?query=1%2B1", "loki": "/loki/api/v1/query?query=vector(1)%2Bvector(1)"}
	query, ok := queries[source.Type]
	if !ok {
		writeJSON(answer, http.StatusNotFound, map[string]any{"message": "plugin has no health check"})
		return
	}
	status, body, err := g.w.ask(g.pod, request{method: http.MethodGet, address: strings.TrimSuffix(source.URL, "/") + query})
	switch {
	case err != nil:
		writeJSON(answer, http.StatusBadRequest, map[string]any{"status": "ERROR", "message": err.Error()})
	case status != http.StatusOK:
		writeJSON(answer, http.StatusBadRequest, map[string]any{"status": "ERROR", "message": fmt.Sprintf("%d: %s", status, body)})
	default:
		writeJSON(answer, http.StatusOK, map[string]any{"status": "OK", "message": "Successfully queried the " + source.Name + " API."})
	}
}
