package grafana

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/httpserver"
	"tailwatch.dev/sandbox/world/network"
)

// requester is the identity of a request: a role in the organisation, or the server admin.
type requester struct {
	role        string
	serverAdmin bool
}

// authenticate gives nil and the message of the answer for a request without valid credentials.
func (g *server) authenticate(settings map[string]string, request *http.Request) (*requester, string) {
	user, password, basic := request.BasicAuth()
	switch {
	case basic && settings["auth.basic.enabled"] == "true":
		if user != g.user || password != g.password {
			return nil, "Invalid username or password"
		}
		return &requester{role: "Admin", serverAdmin: true}, ""
	case strings.HasPrefix(request.Header.Get("Authorization"), "Bearer "):
		return nil, "Invalid API key"
	case settings["auth.anonymous.enabled"] == "true" && settings["auth.anonymous.org_name"] == "Main Org.":
		return &requester{role: settings["auth.anonymous.org_role"]}, ""
	}
	return nil, "Unauthorized"
}

func (g *server) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	settings, sources := g.running()
	path := request.URL.Path
	visitor, refusal := g.authenticate(settings, request)
	switch {
	case path == "/api/health":
		httpserver.WriteJSON(answer, http.StatusOK, g.health(settings, visitor))
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
		httpserver.WriteJSON(answer, http.StatusUnauthorized, map[string]any{"message": refusal, "statusCode": 401})
		return
	}
	if needs := neededBy(path); needs != "" && !visitor.may(needs) {
		httpserver.WriteJSON(answer, http.StatusForbidden, map[string]any{
			"accessErrorId": "ACE0000000000", "title": "Access denied",
			"message": "You'll need additional permissions to perform this action. Permissions needed: " + needs,
		})
		return
	}
	g.answer(answer, request, session{settings, sources, visitor})
}

// session is the identity and the configuration of a request.
type session struct {
	settings  map[string]string
	sources   []dataSource
	requester *requester
}

func (g *server) answer(answer http.ResponseWriter, request *http.Request, v session) {
	path := request.URL.Path
	rest := func(prefix string) string { return strings.TrimPrefix(path, prefix) }
	switch {
	case path == "/":
		fmt.Fprint(answer, "<html><title>Grafana</title><p>The sandbox's Grafana has an API and no pages.</p></html>")
	case path == "/api/org":
		httpserver.WriteJSON(answer, http.StatusOK, map[string]any{"id": 1, "name": "Main Org."})
	case path == "/api/org/users":
		httpserver.WriteJSON(answer, http.StatusOK, []any{map[string]any{"orgId": 1, "userId": 1, "login": g.user, "email": "admin@localhost", "role": "Admin"}})
	case path == "/api/admin/settings":
		httpserver.WriteJSON(answer, http.StatusOK, sections(v.settings))
	case path == "/api/frontend/settings":
		httpserver.WriteJSON(answer, http.StatusOK, frontend(v))
	case path == "/api/search":
		g.search(answer, request)
	case strings.HasPrefix(path, "/api/dashboards/uid/"):
		g.dashboard(answer, rest("/api/dashboards/uid/"))
	case path == "/api/datasources":
		list := []any{}
		for index, source := range v.sources {
			list = append(list, describedSource(index, source))
		}
		httpserver.WriteJSON(answer, http.StatusOK, list)
	case strings.HasPrefix(path, "/api/datasources/proxy/uid/"):
		uid, below, _ := strings.Cut(rest("/api/datasources/proxy/uid/"), "/")
		g.proxy(answer, request, proxied{findSource(v.sources, uid), below, strings.Fields(v.settings["security.data_source_proxy_whitelist"])})
	case path == "/api/ds/query" && request.Method == http.MethodPost:
		g.query(answer, request, v.sources)
	case strings.HasPrefix(path, "/api/datasources/uid/"):
		uid, below, _ := strings.Cut(rest("/api/datasources/uid/"), "/")
		index := findSource(v.sources, uid)
		switch {
		case index == nil:
			httpserver.WriteJSON(answer, http.StatusNotFound, map[string]any{"message": "Data source not found"})
		case below == "health":
			g.askHealth(answer, *index)
		case below == "":
			httpserver.WriteJSON(answer, http.StatusOK, describedSource(slices.IndexFunc(v.sources, func(s dataSource) bool { return s.UID == uid }), *index))
		default:
			httpserver.WriteJSON(answer, http.StatusNotImplemented, map[string]any{"message": "the sandbox's Grafana does not model " + path})
		}
	default:
		httpserver.WriteJSON(answer, http.StatusNotImplemented, map[string]any{"message": "the sandbox's Grafana does not model " + path})
	}
}

// neededBy gives the permission of a path: empty if every role has it.
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

func (v *requester) may(permission string) bool {
	return v.serverAdmin || (permission == "org.users:read" && v.role == "Admin")
}

// health shows the version to the admin, and to all unless it is hidden.
func (g *server) health(settings map[string]string, visitor *requester) map[string]any {
	shown := map[string]any{"database": "ok"}
	if settings["auth.anonymous.hide_version"] != "true" || (visitor != nil && visitor.serverAdmin) {
		shown["version"] = g.version()
	}
	return shown
}

func (g *server) version() string {
	if main := cluster.Container(g.pod, "grafana"); main != nil {
		return main.Image[strings.LastIndex(main.Image, ":")+1:]
	}
	return ""
}

// login is the login page, and the answer to its form.
func (g *server) login(answer http.ResponseWriter, request *http.Request, settings map[string]string) {
	closed := settings["auth.disable_login_form"] == "true"
	if request.Method != http.MethodPost {
		fmt.Fprintf(answer, "<html><title>Grafana</title><script>window.grafanaBootData = {\"settings\": {\"disableLoginForm\": %t}};</script></html>", closed)
		return
	}
	var given struct{ User, Password string }
	_ = json.NewDecoder(request.Body).Decode(&given)
	switch {
	case closed:
		httpserver.WriteJSON(answer, http.StatusUnauthorized, map[string]any{"message": "Login is disabled"})
	case given.User != g.user || given.Password != g.password:
		httpserver.WriteJSON(answer, http.StatusUnauthorized, map[string]any{"message": "Invalid username or password", "messageId": "password-auth.failed", "statusCode": 401})
	default:
		httpserver.WriteJSON(answer, http.StatusOK, map[string]any{"message": "Logged in", "redirectUrl": "/"})
	}
}

// sections gives settings as /api/admin/settings does; secrets are masked.
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

func frontend(v session) map[string]any {
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
		"buildInfo": map[string]any{"hideVersion": v.settings["auth.anonymous.hide_version"] == "true" && !v.requester.serverAdmin},
	}
}

func (g *server) search(answer http.ResponseWriter, request *http.Request) {
	list, limit := []any{}, 1000
	if text := request.FormValue("limit"); text != "" {
		limit, _ = strconv.Atoi(text)
	}
	// There are no folders.
	if kind := request.FormValue("type"); kind != "" && kind != "dash-db" {
		httpserver.WriteJSON(answer, http.StatusOK, list)
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
	httpserver.WriteJSON(answer, http.StatusOK, list)
}

func (g *server) dashboard(answer http.ResponseWriter, uid string) {
	for _, found := range g.dashboards() {
		if found.uid == uid {
			httpserver.WriteJSON(answer, http.StatusOK, map[string]any{"dashboard": found.content, "meta": map[string]any{"provisioned": true, "canSave": false}})
			return
		}
	}
	httpserver.WriteJSON(answer, http.StatusNotFound, map[string]any{"message": "Dashboard not found"})
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

// proxied is a request that Grafana forwards to a data source.
type proxied struct {
	source *dataSource
	path   string
	// allowed are the HOST:PORTs of data_source_proxy_whitelist; without any, all are allowed.
	allowed []string
}

func (g *server) proxy(answer http.ResponseWriter, asked *http.Request, to proxied) {
	if to.source == nil {
		httpserver.WriteJSON(answer, http.StatusNotFound, map[string]any{"message": "Unable to find datasource"})
		return
	}
	target, _ := url.Parse(to.source.URL)
	if len(to.allowed) > 0 && (target == nil || !slices.Contains(to.allowed, target.Host)) {
		httpserver.WriteJSON(answer, http.StatusForbidden, map[string]any{"message": "Data proxy hostname and ip are not included in whitelist"})
		return
	}
	body, _ := io.ReadAll(asked.Body)
	address := strings.TrimSuffix(to.source.URL, "/") + "/" + to.path
	if asked.URL.RawQuery != "" {
		address += "?" + asked.URL.RawQuery
	}
	status, text, err := g.network.Ask(g.pod, network.Request{Method: asked.Method, Address: address, Body: string(body), Kind: asked.Header.Get("Content-Type")})
	if err != nil {
		http.Error(answer, err.Error(), http.StatusBadGateway)
		return
	}
	answer.Header().Set("Content-Type", "application/json")
	answer.WriteHeader(status)
	fmt.Fprintln(answer, text)
}

// askHealth asks the data source's backend at its configured URL, as Grafana does.
func (g *server) askHealth(answer http.ResponseWriter, source dataSource) {
	queries := map[string]string{"prometheus": "/api/v1/query?query=1%2B1", "loki": "/loki/api/v1/query?query=vector(1)%2Bvector(1)"}
	query, ok := queries[source.Type]
	if !ok {
		httpserver.WriteJSON(answer, http.StatusNotFound, map[string]any{"message": "plugin has no health check"})
		return
	}
	status, body, err := g.network.Ask(g.pod, network.Request{Method: http.MethodGet, Address: strings.TrimSuffix(source.URL, "/") + query})
	switch {
	case err != nil:
		httpserver.WriteJSON(answer, http.StatusBadRequest, map[string]any{"status": "ERROR", "message": err.Error()})
	case status != http.StatusOK:
		httpserver.WriteJSON(answer, http.StatusBadRequest, map[string]any{"status": "ERROR", "message": fmt.Sprintf("%d: %s", status, body)})
	default:
		httpserver.WriteJSON(answer, http.StatusOK, map[string]any{"status": "OK", "message": "Successfully queried the " + source.Name + " API."})
	}
}
