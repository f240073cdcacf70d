// Package alertmanager runs the real Alertmanager with the installed configuration.
package alertmanager

import (
	"errors"
	"net/http"
	"os"
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

type alertmanager struct {
	network *network.Network
	current *process.Process
	// config is the configuration that the process has loaded.
	config string
	// secrets replaces the folders of the container's Secrets by those of the sandbox.
	secrets *strings.Replacer
	// versions are those of the mounted objects that are written to files.
	versions string
}

// Backend runs the real Alertmanager.
func Backend(n *network.Network) *backends.Backend {
	a := &alertmanager{network: n}
	return &backends.Backend{Name: "alertmanager", Desired: a.desired, Refresh: a.refresh}
}

func (a *alertmanager) pod(v *cluster.Objects) (*core.Pod, *core.Container) {
	for _, pod := range v.ReadyPods("alertmanager") {
		if container := cluster.Container(pod, "alertmanager"); container != nil {
			return pod, container
		}
	}
	return nil, nil
}

func (a *alertmanager) desired(v *cluster.Objects) *backends.Desired {
	pod, container := a.pod(v)
	if pod == nil {
		return nil
	}
	return &backends.Desired{Fingerprint: string(pod.UID), Start: func() (backends.Process, error) {
		mounts, err := backends.MountVolumes(a.network.Cluster, v, pod, container)
		if err != nil {
			return nil, err
		}
		data, err := mounts.Path("/alertmanager")
		if err != nil {
			return nil, err
		}
		folders := []string{}
		for path, folder := range mounts {
			if strings.HasPrefix(path, "/etc/alertmanager/secrets/") {
				folders = append(folders, path+"/", folder+"/")
			}
		}
		a.secrets = strings.NewReplacer(folders...)
		if a.config, err = a.rewrite(v, pod); err != nil {
			return nil, err
		}
		if err := a.write(); err != nil {
			return nil, err
		}
		// Flags of the cluster, which is off; the operator sets some that only newer versions know.
		arguments := backends.ReplaceFlags(container.Args, map[string]string{
			"config.file": a.file(), "storage.path": data, "web.config.file": "", "cluster.peer": "", "cluster.peer-name": "",
			"web.listen-address": sandbox.Loopback(a.network.Ports.Alertmanager), "cluster.listen-address": "",
		})
		// An empty address switches the cluster off, which would listen on all interfaces.
		a.current, err = a.network.StartProcess("alertmanager", append(arguments, "--cluster.listen-address="), nil)
		if err != nil {
			return nil, err
		}
		return a.current, nil
	}}
}

// refresh reloads changed configuration, as the config-reloader does.
func (a *alertmanager) refresh(v *cluster.Objects) {
	pod, container := a.pod(v)
	if pod == nil {
		return
	}
	if versions := v.MountedVersions(pod); versions != a.versions {
		// As the kubelet does; Alertmanager reads a file of a secret for each notification.
		if _, err := backends.MountVolumes(a.network.Cluster, v, pod, container); err == nil {
			a.versions = versions
		}
	}
	config, err := a.rewrite(v, pod)
	if err != nil || config == a.config {
		return
	}
	a.config = config
	if a.write() == nil {
		a.current.Signal(syscall.SIGHUP)
	}
}

func (a *alertmanager) file() string { return a.network.Path("alertmanager.yaml") }

func (a *alertmanager) write() error { return os.WriteFile(a.file(), []byte(a.config), 0o600) }

// rewrite gives the operator's configuration, with the loopback proxy for every receiver and the sandbox's files of secrets.
func (a *alertmanager) rewrite(v *cluster.Objects, pod *core.Pod) (string, error) {
	text := v.MountedGzip(pod, "alertmanager.yaml.gz")
	if text == "" {
		return "", errors.New("the operator has not written its configuration")
	}
	config := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return "", err
	}
	backends.Section(backends.Section(config, "global"), "http_config")
	setProxy(config, a.network.ProxyFor(pod))
	rewritten, err := yaml.Marshal(config)
	return a.secrets.Replace(string(rewritten)), err
}

// setProxy sets the proxy of each http_config.
func setProxy(value any, proxy string) {
	switch value := value.(type) {
	case map[string]any:
		if client, ok := value["http_config"].(map[string]any); ok {
			client["proxy_url"] = proxy
		}
		for _, entry := range value {
			setProxy(entry, proxy)
		}
	case []any:
		for _, entry := range value {
			setProxy(entry, proxy)
		}
	}
}

// Faulty is Alertmanager with the fault `metrics=alertmanager-drops-alerts`.
func Faulty(n *network.Network) http.Handler {
	return backends.FaultyPost(n.Ports.Alertmanager, "/api/v2/alerts", func(answer http.ResponseWriter) { answer.WriteHeader(http.StatusOK) })
}
