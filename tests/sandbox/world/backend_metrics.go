package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const operatorApp = "kube-prometheus-stack-prometheus-operator"

// operatorWanted: the real operator, with its pod's arguments. It ends while its CRDs are missing and runs without
// some controllers when only a few are there, so it waits for all ten, as its pod would by restarting.
func (w *world) operatorWanted(v *view) *wanted {
	pods := v.readyPods(operatorApp)
	if len(pods) == 0 || len(pods[0].Spec.Containers) == 0 {
		return nil
	}
	pod := pods[0]
	arguments := replaceFlags(pod.Spec.Containers[0].Args, map[string]string{
		"web.listen-address": loopback(w.Ports.Operator),
		"web.cert-file":      w.path("operator", "cert"), "web.key-file": w.path("operator", "key"), "web.client-ca-file": "",
	})
	arguments = append(arguments, "--apiserver=https://"+loopback(w.Ports.API), "--ca-file="+w.path("pki", "ca.crt"),
		"--cert-file="+w.path("pki", "admin.crt"), "--key-file="+w.path("pki", "admin.key"))
	return &wanted{fingerprint: hash(append(arguments, string(pod.UID))...), start: func() (running, error) {
		if count := w.monitoringKinds(); count < 10 {
			return nil, fmt.Errorf("%d of its 10 kinds are served", count)
		}
		if err := w.writeOperatorKeys(v, pod); err != nil {
			return nil, err
		}
		child, err := w.processes.start(w.Sandbox, "operator", w.binary("operator"), arguments, nil)
		if err != nil {
			return nil, err
		}
		return child, nil
	}}
}

func (w *world) monitoringKinds() int {
	count := 0
	for _, version := range []string{"v1", "v1alpha1"} {
		list, err := w.kube.Discovery().ServerResourcesForGroupVersion("monitoring.coreos.com/" + version)
		if err != nil {
			continue
		}
		for _, resource := range list.APIResources {
			if !strings.Contains(resource.Name, "/") {
				count++
			}
		}
	}
	return count
}

// writeOperatorKeys: the pod mounts the webhook's certificate from a Secret; without it, it could not start.
func (w *world) writeOperatorKeys(v *view, pod *core.Pod) error {
	for _, volume := range pod.Spec.Volumes {
		if volume.Secret == nil {
			continue
		}
		secret, err := v.secrets.Secrets(pod.Namespace).Get(volume.Secret.SecretName)
		if err != nil {
			return fmt.Errorf("its Secret %s is missing", volume.Secret.SecretName)
		}
		if err := os.MkdirAll(w.path("operator"), 0o700); err != nil {
			return err
		}
		for _, key := range []string{"cert", "key"} {
			if len(secret.Data[key]) == 0 {
				return fmt.Errorf("Secret %s has no key %s", secret.Name, key)
			}
			if err := os.WriteFile(w.path("operator", key), secret.Data[key], 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// prometheusBackend is the real Prometheus with the operator's configuration.
type prometheusBackend struct {
	w       *world
	current running
	files   map[string]string
	// seen are the versions of what the files were made of.
	seen string
}

func (p *prometheusBackend) pod(v *view) *core.Pod {
	for _, pod := range v.readyPods("prometheus") {
		if container(pod, "prometheus") != nil {
			return pod
		}
	}
	return nil
}

func (p *prometheusBackend) wanted(v *view) *wanted {
	pod := p.pod(v)
	if pod == nil {
		return nil
	}
	arguments := replaceFlags(container(pod, "prometheus").Args, map[string]string{
		"config.file": p.w.path("prometheus", "prometheus.yaml"), "storage.tsdb.path": p.w.path("prometheus", "data"),
		"web.listen-address": "", "web.config.file": "", "web.console.templates": "", "web.console.libraries": "",
	})
	arguments = append(arguments, "--web.listen-address="+loopback(p.w.Ports.Prometheus))
	return &wanted{fingerprint: hash(append(arguments, string(pod.UID))...), start: func() (running, error) {
		files, err := p.read(v, pod)
		if err != nil {
			return nil, err
		}
		if err := p.write(files); err != nil {
			return nil, err
		}
		child, err := p.w.processes.start(p.w.Sandbox, "prometheus", p.w.binary("prometheus"), arguments, nil)
		if err != nil {
			return nil, err
		}
		p.current = child
		return child, nil
	}}
}

// refresh is the config-reloader's part.
func (p *prometheusBackend) refresh(v *view) {
	pod := p.pod(v)
	if pod == nil {
		return
	}
	fault, _ := p.w.fault("metrics")
	versions := v.versionsOf(pod) + " " + fault.Target
	if versions == p.seen {
		return
	}
	files, err := p.read(v, pod)
	p.seen = versions
	if err != nil || maps.Equal(files, p.files) {
		return
	}
	if p.write(files) == nil {
		if child, ok := p.current.(*process); ok {
			child.signal(syscall.SIGHUP)
		}
	}
}

// write brings the folder to exactly these files: the configuration and the rules.
func (p *prometheusBackend) write(files map[string]string) error {
	for old := range p.files {
		if _, kept := files[old]; !kept {
			_ = os.Remove(p.w.path("prometheus", old))
		}
	}
	p.files = files
	for file, text := range files {
		place := p.w.path("prometheus", file)
		if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(place, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// read takes the configuration and the rules from what the pod mounts.
func (p *prometheusBackend) read(v *view, pod *core.Pod) (map[string]string, error) {
	files := map[string]string{}
	for _, volume := range pod.Spec.Volumes {
		if config := volume.ConfigMap; config != nil && strings.Contains(config.Name, "-rulefiles-") {
			rules, err := v.configs.ConfigMaps(pod.Namespace).Get(config.Name)
			if err != nil && config.Optional != nil && *config.Optional {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("its ConfigMap %s is missing", config.Name)
			}
			for file, text := range rules.Data {
				files[filepath.Join("rules", config.Name, file)] = text
			}
		}
	}
	text := v.packed(pod, "prometheus.yaml.gz")
	if text == "" {
		return nil, errors.New("the operator has not written its configuration")
	}
	var err error
	files["prometheus.yaml"], err = p.rewrite(pod, strings.ReplaceAll(text, "$(SHARD)", "0"))
	return files, err
}

// rewrite names the sandbox's API server and credentials, sends every exchange through the loopback proxy, and makes
// scrapes more frequent where pods are fast: nothing else.
func (p *prometheusBackend) rewrite(pod *core.Pod, text string) (string, error) {
	config := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return "", err
	}
	proxy := p.w.proxyFor(pod)
	keys := map[string]any{"cert_file": p.w.path("pki", "admin.crt"), "key_file": p.w.path("pki", "admin.key")}
	discovery := map[string]any{"ca_file": p.w.path("pki", "ca.crt"), "cert_file": keys["cert_file"], "key_file": keys["key_file"]}
	section := func(value any) {
		job, ok := value.(map[string]any)
		if !ok {
			return
		}
		delete(job, "authorization")
		delete(job, "bearer_token_file")
		job["proxy_url"] = proxy
		if job["scheme"] == "https" {
			job["tls_config"] = map[string]any{"insecure_skip_verify": true, "cert_file": keys["cert_file"], "key_file": keys["key_file"]}
		}
		p.hurry(job)
		finders, _ := job["kubernetes_sd_configs"].([]any)
		for _, value := range finders {
			if finder, ok := value.(map[string]any); ok {
				finder["api_server"] = "https://" + loopback(p.w.Ports.API)
				finder["tls_config"] = discovery
			}
		}
	}
	jobs, _ := config["scrape_configs"].([]any)
	fault, _ := p.w.fault("metrics")
	switch fault.Target {
	case "target-missing":
		jobs = slices.DeleteFunc(jobs, func(value any) bool {
			name, _ := dig(value, "job_name").(string)
			return strings.HasPrefix(name, "serviceMonitor/") && strings.Contains(name, "kube-state-metrics")
		})
		config["scrape_configs"] = jobs
	case "no-alertmanager":
		delete(config, "alerting")
	}
	for _, job := range jobs {
		section(job)
	}
	if alerting, ok := config["alerting"].(map[string]any); ok {
		managers, _ := alerting["alertmanagers"].([]any)
		for _, manager := range managers {
			section(manager)
		}
	}
	if global, ok := config["global"].(map[string]any); ok {
		p.hurry(global)
	}
	files, _ := config["rule_files"].([]any)
	for index, file := range files {
		files[index] = strings.Replace(fmt.Sprint(file), "/etc/prometheus/rules", p.w.path("prometheus", "rules"), 1)
	}
	rewritten, err := yaml.Marshal(config)
	return string(rewritten), err
}

func (p *prometheusBackend) hurry(section map[string]any) {
	if p.w.Slow {
		return
	}
	// Each node has several targets, and one machine scrapes them all.
	interval := fmt.Sprintf("%ds", min(3+p.w.Nodes/50, 30))
	for _, key := range []string{"scrape_interval", "evaluation_interval"} {
		if _, ok := section[key]; ok {
			section[key] = interval
		}
	}
	if _, ok := section["scrape_timeout"]; ok {
		section["scrape_timeout"] = "2s"
	}
}

// towardsBackends keeps connections: thousands of targets may be one process.
var towardsBackends = &http.Transport{MaxIdleConnsPerHost: 100}

// proxy answers for the addresses of the simulated world: Prometheus' scrapes, oauth2-proxy's upstream and issuer.
func (w *world) proxy(answer http.ResponseWriter, request *http.Request) {
	address := request.Host
	if request.Method != http.MethodConnect && request.URL.Port() == "" {
		address = request.URL.Hostname() + ":80"
	}
	local, ok := w.resolve(address)
	if !ok {
		http.Error(answer, "nobody stands for "+address, http.StatusBadGateway)
		return
	}
	if w.holdsBack(request, address) {
		http.Error(answer, "a NetworkPolicy refuses "+address, http.StatusGatewayTimeout)
		return
	}
	if request.Method == http.MethodConnect {
		tunnel(answer, local)
		return
	}
	if local == loopback(w.Ports.Exporters) {
		w.exporters(answer, request)
		return
	}
	forward := httputil.ReverseProxy{Transport: towardsBackends, Rewrite: func(proxied *httputil.ProxyRequest) {
		proxied.Out.URL = &url.URL{Scheme: "http", Host: local, Path: proxied.In.URL.Path, RawPath: proxied.In.URL.RawPath, RawQuery: proxied.In.URL.RawQuery}
		proxied.Out.Host = proxied.In.Host
		proxied.Out.Header["X-Forwarded-For"] = proxied.In.Header["X-Forwarded-For"]
	}}
	forward.ServeHTTP(answer, request)
}

// exporters answer with a few plausible metrics.
func (w *world) exporters(answer http.ResponseWriter, request *http.Request) {
	answer.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprintf(answer, "# TYPE sandbox_exporter_info gauge\nsandbox_exporter_info{address=%q,path=%q} 1\n", request.Host, request.URL.Path)
	fmt.Fprint(answer, "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1.7e9\n")
	switch {
	case strings.HasSuffix(request.Host, ":9100"):
		fmt.Fprint(answer, "# TYPE node_memory_MemAvailable_bytes gauge\nnode_memory_MemAvailable_bytes 9.6e10\n# TYPE node_load1 gauge\nnode_load1 0.4\n")
	case strings.HasSuffix(request.Host, ":8080"):
		fmt.Fprintf(answer, "# TYPE kube_node_info gauge\n")
		for number := range w.Nodes {
			fmt.Fprintf(answer, "kube_node_info{node=\"node-%d\"} 1\n", number)
		}
	}
}
