package main

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// doorWanted: the real oauth2-proxy, with its pod's arguments, ConfigMap and Secret; the issuer and the upstream are
// reached through the loopback proxy.
func (w *world) doorWanted(v *view) *wanted {
	pods := v.readyPods("oauth2-proxy")
	if len(pods) == 0 {
		return nil
	}
	pod := pods[0]
	main := container(pod, "oauth2-proxy")
	text, ok := v.configMapOf(pod, "oauth2_proxy.cfg")
	if main == nil || !ok {
		return nil
	}
	environment := []string{}
	for _, variable := range main.Env {
		value := variable.Value
		if from := variable.ValueFrom; from != nil && from.SecretKeyRef != nil {
			secret, err := v.secrets.Secrets(pod.Namespace).Get(from.SecretKeyRef.Name)
			if err != nil || secret.Data[from.SecretKeyRef.Key] == nil {
				return nil
			}
			value = string(secret.Data[from.SecretKeyRef.Key])
		}
		environment = append(environment, variable.Name+"="+value)
	}
	file := w.path("oauth2_proxy.cfg")
	arguments := replaceFlags(main.Args, map[string]string{
		"http-address": loopback(w.Ports.Door), "metrics-address": loopback(w.Ports.DoorMetrics), "https-address": "", "config": file,
	})
	fingerprint := hash(append(append(arguments, environment...), text, string(pod.UID))...)
	proxy := w.proxyFor(pod)
	environment = append(environment, "HTTP_PROXY="+proxy, "HTTPS_PROXY="+proxy, "SSL_CERT_FILE="+w.path("pki", "ca.crt"))
	return &wanted{fingerprint: fingerprint, start: func() (running, error) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
		child, err := w.processes.start(w.Sandbox, "oauth2-proxy", filepath.Join(w.Parts.Prometheus, "oauth2-proxy"), arguments, environment)
		if err != nil {
			return nil, err
		}
		return child, nil
	}}
}

// issuer stands for the Auth0 tenant: discovery and keys. What it does not model it refuses loudly.
type issuer struct {
	mux *http.ServeMux
	key *rsa.PrivateKey
}

func newIssuer(_ *world) (*issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	i := &issuer{mux: http.NewServeMux(), key: key}
	base := "https://" + issuerHost
	i.json("/.well-known/openid-configuration", map[string]any{
		"issuer": base + "/", "authorization_endpoint": base + "/authorize", "token_endpoint": base + "/oauth/token",
		"userinfo_endpoint": base + "/userinfo", "jwks_uri": base + "/.well-known/jwks.json",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"}, "code_challenge_methods_supported": []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
	})
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	i.json("/.well-known/jwks.json", map[string]any{"keys": []map[string]any{{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "sandbox", "n": number(key.N), "e": number(big.NewInt(int64(key.E))),
	}}})
	return i, nil
}

func (i *issuer) json(path string, value any) {
	i.mux.HandleFunc("GET "+path, func(answer http.ResponseWriter, _ *http.Request) {
		answer.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(answer).Encode(value)
	})
}

func (i *issuer) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	if _, pattern := i.mux.Handler(request); pattern == "" {
		http.Error(answer, "the sandbox's issuer does not model "+request.URL.Path, http.StatusNotImplemented)
		return
	}
	i.mux.ServeHTTP(answer, request)
}

// grafanaWanted: a small server that reads the installed grafana.ini and data sources and answers as the documented
// HTTP API does.
func (w *world) grafanaWanted(v *view) *wanted {
	pods := v.readyPods("grafana")
	if len(pods) == 0 {
		return nil
	}
	pod := pods[0]
	ini, _ := v.configMapOf(pod, "grafana.ini")
	provisioned, _ := v.configMapOf(pod, "datasources.yaml")
	// Data sources are read at start only: without the sidecar a change reaches Grafana by a new pod.
	return &wanted{fingerprint: string(pod.UID), start: func() (running, error) {
		grafana, err := newGrafana(w, pod, ini, provisioned)
		if err != nil {
			return nil, err
		}
		started, err := w.listen(w.Ports.Grafana, "", grafana)
		if err != nil {
			return nil, err
		}
		return started, nil
	}}
}

type dataSource struct {
	Name, UID, Type, URL string
	IsDefault            bool
}

type grafana struct {
	w         *world
	pod       *core.Pod
	anonymous bool
	sources   map[string]dataSource
}

func newGrafana(w *world, pod *core.Pod, ini, provisioned string) (*grafana, error) {
	settings := readINI(ini)
	g := &grafana{w: w, pod: pod, sources: map[string]dataSource{}}
	g.anonymous = settings["auth.anonymous.enabled"] == "true" && settings["auth.anonymous.org_name"] == "Main Org."
	var file struct{ Datasources []dataSource }
	if err := yaml.Unmarshal([]byte(provisioned), &file); err != nil {
		return nil, fmt.Errorf("datasources.yaml: %w", err)
	}
	defaults := 0
	for _, source := range file.Datasources {
		if source.IsDefault {
			defaults++
		}
		g.sources[source.UID] = source
	}
	if defaults > 1 {
		return nil, fmt.Errorf("datasource provisioning error: only one datasource per organization can be marked as default")
	}
	return g, nil
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

func (g *grafana) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	path := request.URL.Path
	switch {
	case path == "/api/health":
		writeJSON(answer, http.StatusOK, map[string]any{"database": "ok"})
	case path == "/metrics":
		fmt.Fprint(answer, "# TYPE grafana_build_info gauge\ngrafana_build_info{version=\"sandbox\"} 1\n")
	case !g.anonymous:
		writeJSON(answer, http.StatusUnauthorized, map[string]any{"message": "Unauthorized", "statusCode": 401})
	case path == "/":
		fmt.Fprint(answer, "<html><title>Grafana</title><p>The sandbox's Grafana has an API and no pages.</p></html>")
	case path == "/api/org":
		writeJSON(answer, http.StatusOK, map[string]any{"id": 1, "name": "Main Org."})
	case strings.HasPrefix(path, "/api/datasources/uid/") && strings.HasSuffix(path, "/health"):
		g.health(answer, strings.TrimSuffix(strings.TrimPrefix(path, "/api/datasources/uid/"), "/health"))
	default:
		writeJSON(answer, http.StatusNotImplemented, map[string]any{"message": "the sandbox's Grafana does not model " + path})
	}
}

// health asks the data source's backend at its configured URL, as Grafana does.
func (g *grafana) health(answer http.ResponseWriter, uid string) {
	source, ok := g.sources[uid]
	if !ok {
		writeJSON(answer, http.StatusNotFound, map[string]any{"message": "Data source not found"})
		return
	}
	queries := map[string]string{"prometheus": "/api/v1/query?query=1%2B1", "loki": "/loki/api/v1/query?query=vector(1)%2Bvector(1)"}
	query, ok := queries[source.Type]
	if !ok {
		writeJSON(answer, http.StatusNotFound, map[string]any{"message": "plugin has no health check"})
		return
	}
	status, body, err := g.w.ask(g.pod, request{method: http.MethodGet, address: source.URL + query})
	switch {
	case err != nil:
		writeJSON(answer, http.StatusBadRequest, map[string]any{"status": "ERROR", "message": err.Error()})
	case status != http.StatusOK:
		writeJSON(answer, http.StatusBadRequest, map[string]any{"status": "ERROR", "message": fmt.Sprintf("%d: %s", status, body)})
	default:
		writeJSON(answer, http.StatusOK, map[string]any{"status": "OK", "message": "Successfully queried the " + source.Name + " API."})
	}
}

func writeJSON(answer http.ResponseWriter, status int, value any) {
	answer.Header().Set("Content-Type", "application/json")
	answer.WriteHeader(status)
	_ = json.NewEncoder(answer).Encode(value)
}

// request is one that a pod makes inside the simulated world.
type request struct {
	method, address, body, tenant string
}

// ask makes a request from a pod.
func (w *world) ask(from *core.Pod, asked request) (int, string, error) {
	proxy, _ := url.Parse(w.proxyFor(from))
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}}
	made, err := http.NewRequest(asked.method, asked.address, strings.NewReader(asked.body))
	if err != nil {
		return 0, "", err
	}
	made.Header.Set("Content-Type", "application/json")
	if asked.tenant != "" {
		made.Header.Set("X-Scope-OrgID", asked.tenant)
	}
	response, err := client.Do(made)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, strings.TrimSpace(string(text)), nil
}
