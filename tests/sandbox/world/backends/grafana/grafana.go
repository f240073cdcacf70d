// Package grafana models Grafana's HTTP API with the installed grafana.ini, data sources and dashboards.
package grafana

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"tailwatch.dev/sandbox/world/backends"
	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/httpserver"
	"tailwatch.dev/sandbox/world/network"
	"tailwatch.dev/sandbox/world/sandbox"
)

type dataSource struct {
	Name, UID, Type, URL, Access string
	IsDefault                    bool
	JSONData                     map[string]any
}

// server is Grafana with the installed grafana.ini, data sources and dashboards.
type server struct {
	network  *network.Network
	pod      *core.Pod
	settings map[string]string
	sources  []dataSource
	// user and password are the admin's.
	user, password string
}

// defaults are the values of Grafana's defaults.ini that this package reads.
var defaults = map[string]string{
	"DEFAULT.app_mode": "production", "server.protocol": "http", "server.domain": "localhost", "server.http_port": "3000", "server.root_url": "http://localhost:3000/",
	"auth.disable_login_form": "false", "auth.disable_signout_menu": "false", "auth.basic.enabled": "true", "auth.proxy.enabled": "false",
	"auth.anonymous.enabled": "false", "auth.anonymous.org_name": "Main Org.", "auth.anonymous.org_role": "Viewer", "auth.anonymous.hide_version": "false",
	"security.admin_user": "admin", "security.admin_password": "admin", "security.cookie_secure": "false", "users.allow_sign_up": "false",
	"snapshots.external_enabled": "true", "public_dashboards.enabled": "true", "plugins.plugin_admin_enabled": "true", "unified_alerting.enabled": "",
}

func newServer(n *network.Network, pod *core.Pod, ini, provisioned string) (*server, error) {
	g := &server{network: n, pod: pod, settings: maps.Clone(defaults)}
	maps.Copy(g.settings, readINI(ini))
	g.user, g.password = g.settings["security.admin_user"], g.settings["security.admin_password"]
	if main := cluster.Container(pod, "grafana"); main != nil {
		for _, variable := range main.Env {
			value, err := n.Objects().EnvValue(pod, variable)
			if err != nil {
				return nil, err
			}
			switch variable.Name {
			case "GF_SECURITY_ADMIN_USER":
				g.user = value
			case "GF_SECURITY_ADMIN_PASSWORD":
				g.password = value
			}
		}
	}
	var file struct{ Datasources []dataSource }
	if err := yaml.Unmarshal([]byte(provisioned), &file); err != nil {
		return nil, fmt.Errorf("datasources.yaml: %w", err)
	}
	g.sources = file.Datasources
	if defaultsAmong(g.sources) > 1 {
		return nil, errors.New("datasource provisioning error: only one datasource per organization can be marked as default")
	}
	return g, nil
}

func defaultsAmong(sources []dataSource) int {
	count := 0
	for _, source := range sources {
		if source.IsDefault {
			count++
		}
	}
	return count
}

// running is the effective configuration: the installed one, changed by the fault `grafana`.
func (g *server) running() (map[string]string, []dataSource) {
	settings, sources := maps.Clone(g.settings), slices.Clone(g.sources)
	fault, _ := g.network.Fault("grafana")
	switch fault.Target {
	case "role-admin":
		settings["auth.anonymous.org_role"] = "Admin"
	case "proxy-open":
		settings["security.data_source_proxy_whitelist"] = ""
	case "alertmanager-open":
		const address = "kube-prometheus-stack-alertmanager.monitoring.svc:9093"
		sources = append(sources, dataSource{Name: "Alertmanager", UID: "alertmanager", Type: "alertmanager", Access: "proxy", URL: "http://" + address})
		settings["security.data_source_proxy_whitelist"] += " " + address
	case "features-on":
		settings["public_dashboards.enabled"] = defaults["public_dashboards.enabled"]
	case "alerting-on":
		settings["unified_alerting.enabled"] = defaults["unified_alerting.enabled"]
	case "login-form":
		settings["auth.disable_login_form"] = "false"
	case "root-url":
		settings["server.root_url"] = defaults["server.root_url"]
	}
	for index := range sources {
		source := &sources[index]
		switch {
		case fault.Target == "no-default":
			source.IsDefault = false
		case fault.Target == "two-defaults" && source.Type == "loki":
			source.IsDefault = true
		case fault.Target == "loki-url-wrong" && source.Type == "loki":
			source.URL = strings.Replace(source.URL, ":3100", ":3101", 1)
		}
	}
	return settings, sources
}

// dashboard is one that the sidecar has loaded.
type dashboard struct {
	uid, title string
	content    map[string]any
}

// dashboards are those of the ConfigMaps and Secrets that the pod's sidecar selects by its environment variables.
func (g *server) dashboards() []dashboard {
	sidecar := cluster.Container(g.pod, "grafana-sc-dashboard")
	fault, _ := g.network.Fault("grafana")
	if sidecar == nil || fault.Target == "no-dashboards" {
		return nil
	}
	variables := map[string]string{}
	for _, variable := range sidecar.Env {
		variables[variable.Name] = variable.Value
	}
	namespaces := strings.Split(variables["NAMESPACE"], ",")
	switch variables["NAMESPACE"] {
	case "":
		namespaces = []string{g.pod.Namespace}
	case "ALL":
		namespaces = []string{meta.NamespaceAll}
	}
	found, objects := []dashboard{}, g.network.Objects()
	wanted := labels.Everything()
	if requirement, err := labels.Parse(variables["LABEL"]); err == nil {
		wanted = requirement
	}
	if value := variables["LABEL_VALUE"]; value != "" {
		wanted = labels.SelectorFromSet(labels.Set{variables["LABEL"]: value})
	}
	for _, namespace := range namespaces {
		configs, _ := objects.ConfigMaps.ConfigMaps(namespace).List(wanted)
		for _, config := range configs {
			for file, text := range config.Data {
				found = addDashboard(found, file, []byte(text))
			}
		}
		secrets, _ := objects.Secrets.Secrets(namespace).List(wanted)
		for _, secret := range secrets {
			for file, text := range secret.Data {
				found = addDashboard(found, file, text)
			}
		}
	}
	slices.SortFunc(found, func(a, b dashboard) int { return strings.Compare(a.title+a.uid, b.title+b.uid) })
	return found
}

// addDashboard skips files that Grafana does not load from the sidecar's folder.
func addDashboard(found []dashboard, file string, text []byte) []dashboard {
	content := map[string]any{}
	if !strings.HasSuffix(file, ".json") || json.Unmarshal(text, &content) != nil {
		return found
	}
	title, _ := content["title"].(string)
	uid, _ := content["uid"].(string)
	if title == "" {
		return found
	}
	if uid == "" {
		uid = sandbox.Hash(file)[:14]
	}
	return append(found, dashboard{uid, title, content})
}

// Backend: a small server that reads the installed grafana.ini and data sources and answers as the documented
// HTTP API does.
func Backend(n *network.Network) *backends.Backend {
	return &backends.Backend{Name: "grafana", Desired: func(v *cluster.Objects) *backends.Desired { return desired(n, v) }}
}

func desired(n *network.Network, v *cluster.Objects) *backends.Desired {
	pods := v.ReadyPods("grafana")
	if len(pods) == 0 {
		return nil
	}
	pod := pods[0]
	ini, _ := v.MountedConfig(pod, "grafana.ini")
	provisioned, _ := v.MountedConfig(pod, "datasources.yaml")
	// Data sources are read at start only: without the sidecar a change needs a new pod.
	return &backends.Desired{Fingerprint: string(pod.UID), Start: func() (backends.Process, error) {
		grafana, err := newServer(n, pod, ini, provisioned)
		if err != nil {
			return nil, err
		}
		started, err := httpserver.Listen(n.Ports.Grafana, grafana)
		if err != nil {
			return nil, err
		}
		return started, nil
	}}
}

// readINI gives `section.key` -> value.
func readINI(text string) map[string]string {
	settings, section := map[string]string{}, ""
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]") + "."
		} else if key, value, ok := strings.Cut(line, "="); ok {
			settings[section+strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return settings
}
