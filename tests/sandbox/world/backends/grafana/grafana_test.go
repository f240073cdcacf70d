package grafana

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	core "k8s.io/api/core/v1"

	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/network"
	"tailwatch.dev/sandbox/world/sandbox"
)

// grafanaFor returns a Grafana with these settings in grafana.ini; its admin is `admin` with the password `right`.
func grafanaFor(ini string) *server {
	g := &server{network: &network.Network{Cluster: &cluster.Cluster{Sandbox: &sandbox.Sandbox{}}}, pod: &core.Pod{}, settings: maps.Clone(defaults), user: "admin", password: "right"}
	maps.Copy(g.settings, readINI(ini))
	return g
}

const anonymousEditor = "[auth.anonymous]\nenabled = true\norg_name = Main Org.\norg_role = Editor\n"

func TestPermissionsByRole(t *testing.T) {
	for _, row := range []struct {
		what, ini, path, password string
		status                    int
	}{
		{"health for all", "", "/api/health", "", 200},
		{"a request without credentials and without anonymous access", "", "/api/org", "", 401},
		{"a page without credentials", "", "/", "", 302},
		{"anonymous", anonymousEditor, "/api/org", "", 200},
		{"anonymous of an organisation that is not there", "[auth.anonymous]\nenabled = true\norg_name = Ours\n", "/api/org", "", 401},
		{"the settings for an editor", anonymousEditor, "/api/admin/settings", "", 403},
		{"the settings for the admin", anonymousEditor, "/api/admin/settings", "right", 200},
		{"the settings with a wrong password", anonymousEditor, "/api/admin/settings", "wrong", 401},
		{"anything with a wrong password", anonymousEditor, "/api/org", "wrong", 401},
		{"the admin without basic authentication", "[auth.basic]\nenabled = false\n", "/api/org", "right", 401},
		{"the users for an editor", anonymousEditor, "/api/org/users", "", 403},
		{"the users for an anonymous admin", anonymousEditor + "org_role = Admin\n", "/api/org/users", "", 200},
		{"the settings for an anonymous admin", anonymousEditor + "org_role = Admin\n", "/api/admin/settings", "", 403},
		{"what is not modelled", anonymousEditor, "/api/playlists", "", 501},
	} {
		request, answer := httptest.NewRequest(http.MethodGet, row.path, nil), httptest.NewRecorder()
		if row.password != "" {
			request.SetBasicAuth("admin", row.password)
		}
		grafanaFor(row.ini).ServeHTTP(answer, request)
		if answer.Code != row.status {
			t.Errorf("%s: %d, expected %d", row.what, answer.Code, row.status)
		}
	}
}

func TestSettingsHideSecrets(t *testing.T) {
	shown := sections(grafanaFor("[security]\nadmin_password = hidden\n[server]\nroot_url = https://g/\n").settings)
	if shown["security"]["admin_password"] != "*********" || shown["server"]["root_url"] != "https://g/" || shown["auth.anonymous"]["enabled"] != "false" {
		t.Errorf("%v", shown)
	}
}
