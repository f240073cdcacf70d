// Package prometheus runs the real Prometheus and prometheus-operator with the installed configuration.
package prometheus

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"tailwatch.dev/sandbox/world/backends"
	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/network"
	"tailwatch.dev/sandbox/world/process"
	"tailwatch.dev/sandbox/world/sandbox"
)

// prometheus is the real Prometheus with the operator's configuration.
type prometheus struct {
	network *network.Network
	current backends.Process
	files   map[string]string
	// seen are the resourceVersions from which the files were made.
	seen string
}

func (p *prometheus) pod(v *cluster.Objects) *core.Pod {
	for _, pod := range v.ReadyPods("prometheus") {
		if cluster.Container(pod, "prometheus") != nil {
			return pod
		}
	}
	return nil
}

func (p *prometheus) desired(v *cluster.Objects) *backends.Desired {
	pod := p.pod(v)
	if pod == nil {
		return nil
	}
	arguments := backends.ReplaceFlags(cluster.Container(pod, "prometheus").Args, map[string]string{
		"config.file": p.network.Path("prometheus", "prometheus.yaml"), "storage.tsdb.path": p.network.Path("prometheus", "data"),
		"web.listen-address": "", "web.config.file": "", "web.console.templates": "", "web.console.libraries": "",
	})
	arguments = append(arguments, "--web.listen-address="+sandbox.Loopback(p.network.Ports.Prometheus))
	return &backends.Desired{Fingerprint: sandbox.Hash(append(arguments, string(pod.UID))...), Start: func() (backends.Process, error) {
		files, err := p.read(v, pod)
		if err != nil {
			return nil, err
		}
		if err := p.write(files); err != nil {
			return nil, err
		}
		child, err := p.network.StartProcess("prometheus", arguments, nil)
		if err != nil {
			return nil, err
		}
		p.current = child
		return child, nil
	}}
}

// refresh reloads changed configuration, as the config-reloader does.
func (p *prometheus) refresh(v *cluster.Objects) {
	pod := p.pod(v)
	if pod == nil {
		return
	}
	fault, _ := p.network.Fault("metrics")
	versions := v.MountedVersions(pod) + " " + fault.Target
	if versions == p.seen {
		return
	}
	files, err := p.read(v, pod)
	p.seen = versions
	if err != nil || maps.Equal(files, p.files) {
		return
	}
	if p.write(files) == nil {
		if child, ok := p.current.(*process.Process); ok {
			child.Signal(syscall.SIGHUP)
		}
	}
}

// write replaces the configuration and the rules in the folder.
func (p *prometheus) write(files map[string]string) error {
	for old := range p.files {
		if _, kept := files[old]; !kept {
			_ = os.Remove(p.network.Path("prometheus", old))
		}
	}
	p.files = files
	for file, text := range files {
		place := p.network.Path("prometheus", file)
		if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(place, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// read gives the configuration and the rules that the pod mounts.
func (p *prometheus) read(v *cluster.Objects, pod *core.Pod) (map[string]string, error) {
	files := map[string]string{}
	for _, volume := range pod.Spec.Volumes {
		if config := volume.ConfigMap; config != nil && strings.Contains(config.Name, "-rulefiles-") {
			rules, err := v.ConfigMaps.ConfigMaps(pod.Namespace).Get(config.Name)
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
	text := v.MountedGzip(pod, "prometheus.yaml.gz")
	if text == "" {
		return nil, errors.New("the operator has not written its configuration")
	}
	var err error
	files["prometheus.yaml"], err = p.rewrite(pod, strings.ReplaceAll(text, "$(SHARD)", "0"))
	return files, err
}

// rewrite sets the API server and credentials of the sandbox, the loopback proxy, shorter intervals, and the fault
// `metrics`.
func (p *prometheus) rewrite(pod *core.Pod, text string) (string, error) {
	config := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return "", err
	}
	proxy := p.network.ProxyFor(pod)
	keys := map[string]any{"cert_file": p.network.Path("pki", "admin.crt"), "key_file": p.network.Path("pki", "admin.key")}
	discovery := map[string]any{"ca_file": p.network.Path("pki", "ca.crt"), "cert_file": keys["cert_file"], "key_file": keys["key_file"]}
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
		p.shortenIntervals(job)
		finders, _ := job["kubernetes_sd_configs"].([]any)
		for _, value := range finders {
			if finder, ok := value.(map[string]any); ok {
				finder["api_server"] = "https://" + p.network.API()
				finder["tls_config"] = discovery
			}
		}
	}
	jobs, _ := config["scrape_configs"].([]any)
	fault, _ := p.network.Fault("metrics")
	switch fault.Target {
	case "target-missing":
		jobs = slices.DeleteFunc(jobs, func(value any) bool {
			job, _ := value.(map[string]any)
			name, _ := job["job_name"].(string)
			return strings.HasPrefix(name, "serviceMonitor/") && strings.Contains(name, "kube-state-metrics")
		})
		config["scrape_configs"] = jobs
	case "config-invalid":
		config["scrape_configs"] = append(jobs, map[string]any{"job_name": ""})
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
		p.shortenIntervals(global)
	}
	files, _ := config["rule_files"].([]any)
	for index, file := range files {
		files[index] = strings.Replace(fmt.Sprint(file), "/etc/prometheus/rules", p.network.Path("prometheus", "rules"), 1)
	}
	rewritten, err := yaml.Marshal(config)
	return string(rewritten), err
}

// shortenIntervals makes scrapes and rule evaluations more frequent where pods are fast.
func (p *prometheus) shortenIntervals(section map[string]any) {
	if p.network.Slow {
		return
	}
	// Each node has several targets, and one machine scrapes them all.
	interval := min(6+p.network.Nodes/40, 30)
	for _, key := range []string{"scrape_interval", "evaluation_interval"} {
		if _, ok := section[key]; ok {
			section[key] = fmt.Sprintf("%ds", interval)
		}
	}
	if _, ok := section["scrape_timeout"]; ok {
		section["scrape_timeout"] = fmt.Sprintf("%ds", min(interval, 10))
	}
}

// Backend runs the real Prometheus.
func Backend(n *network.Network) *backends.Backend {
	p := &prometheus{network: n}
	return &backends.Backend{Name: "prometheus", Desired: p.desired, Refresh: p.refresh}
}
