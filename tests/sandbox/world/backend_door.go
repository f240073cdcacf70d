package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
)

// doorWanted: the real oauth2-proxy, with its pod's arguments, ConfigMap and Secret; the issuer is reached through the
// loopback proxy, the upstream as door_upstream.go tells.
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
		value, err := v.valueOf(pod, variable)
		if err != nil {
			return nil
		}
		environment = append(environment, variable.Name+"="+value)
	}
	file := w.path("oauth2_proxy.cfg")
	arguments := replaceFlags(main.Args, map[string]string{
		"http-address": loopback(w.Ports.Door), "metrics-address": loopback(w.Ports.DoorMetrics), "https-address": "", "config": file,
	})
	fault, _ := w.fault("door")
	arguments, text = spoiled(fault.Target, arguments, text)
	fingerprint := hash(append(append(arguments, environment...), text, string(pod.UID), fault.Target)...)
	proxy := w.proxyFor(pod)
	environment = append(environment, "HTTP_PROXY="+proxy, "HTTPS_PROXY="+proxy, "SSL_CERT_FILE="+w.path("pki", "ca.crt"))
	return &wanted{fingerprint: fingerprint, start: func() (running, error) {
		config, upstream, err := w.withUpstreamHere(text)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			return nil, err
		}
		w.upstream.Store(upstream)
		var before *server
		if fault.Target == "trusts-headers" {
			inner := loopback(w.Ports.DoorBehind)
			arguments = replaceFlags(arguments, map[string]string{"http-address": inner})
			if before, err = w.listen(w.Ports.Door, "", trusting(inner, loopback(w.Ports.Grafana))); err != nil {
				return nil, err
			}
		}
		child, err := w.processes.start(w.Sandbox, "oauth2-proxy", w.binary("oauth2-proxy"), arguments, environment)
		switch {
		case err != nil:
			return nil, err
		case before != nil:
			return both{before, child}, nil
		}
		return child, nil
	}}
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

// valueOf a variable of a pod's container.
func (v *view) valueOf(pod *core.Pod, variable core.EnvVar) (string, error) {
	if variable.ValueFrom == nil || variable.ValueFrom.SecretKeyRef == nil {
		return variable.Value, nil
	}
	from := variable.ValueFrom.SecretKeyRef
	secret, err := v.secrets.Secrets(pod.Namespace).Get(from.Name)
	if err != nil {
		return "", err
	}
	value, ok := secret.Data[from.Key]
	if !ok {
		return "", fmt.Errorf("Secret %s has no key %s", from.Name, from.Key)
	}
	return string(value), nil
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

func writeJSON(answer http.ResponseWriter, status int, value any) {
	answer.Header().Set("Content-Type", "application/json")
	answer.WriteHeader(status)
	_ = json.NewEncoder(answer).Encode(value)
}

// request is one that a pod makes inside the simulated world.
type request struct {
	method, address, body string
	// tenant is Loki's, kind the content's: JSON where it is not said.
	tenant, kind string
}

// ask makes a request from a pod.
func (w *world) ask(from *core.Pod, asked request) (int, string, error) {
	proxy, _ := url.Parse(w.proxyFor(from))
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}}
	made, err := http.NewRequest(asked.method, asked.address, strings.NewReader(asked.body))
	if err != nil {
		return 0, "", err
	}
	if asked.kind == "" {
		asked.kind = "application/json"
	}
	made.Header.Set("Content-Type", asked.kind)
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
