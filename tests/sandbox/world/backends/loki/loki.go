// Package loki runs the real Loki with the installed configuration.
package loki

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"

	"tailwatch.dev/sandbox/world/backends"
	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/network"
	"tailwatch.dev/sandbox/world/sandbox"
)

// Backend runs the real Loki.
func Backend(n *network.Network) *backends.Backend {
	return &backends.Backend{Name: "loki", Desired: func(v *cluster.Objects) *backends.Desired { return desired(n, v) }}
}

func desired(n *network.Network, v *cluster.Objects) *backends.Desired {
	pods := v.ReadyPods("loki")
	if len(pods) == 0 {
		return nil
	}
	pod := pods[0]
	container := cluster.Container(pod, "loki")
	if container == nil {
		return nil
	}
	return &backends.Desired{Fingerprint: string(pod.UID), Start: func() (backends.Process, error) {
		program, err := program(n.Parts, container.Image)
		if err != nil {
			return nil, err
		}
		file, err := writeConfig(n, v, pod, container)
		if err != nil {
			return nil, err
		}
		// The address is that of the pod, in a variable.
		arguments := backends.ReplaceFlags(container.Args, map[string]string{"config.file": file, "memberlist.advertise-addr": ""})
		if n.FastLogs {
			// By default Loki waits for 15 s after its ingester is ready, and looks for its scheduler in a ring every 10 s.
			scheduler := sandbox.Loopback(n.Ports.LokiGRPC)
			arguments = append(arguments, "-ingester.min-ready-duration=0s", "-frontend.scheduler-address="+scheduler, "-querier.scheduler-address="+scheduler)
		}
		// Object storage and usage reports of an installation are outside the sandbox.
		proxy := n.ProxyFor(pod)
		// GOGC saves 200 MB of memory against the sandbox's default, and costs next to no time.
		child, err := n.Processes.Start(n.Sandbox, "loki", program, arguments, []string{"HTTP_PROXY=" + proxy, "HTTPS_PROXY=" + proxy, "GOGC=100"})
		if err != nil {
			return nil, err
		}
		return child, nil
	}}
}

// program is the file of the newest built Loki that is not newer than the image's tag.
func program(parts sandbox.Parts, image string) (string, error) {
	_, tag, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	folder := parts.Loki
	if number, err := version.ParseGeneric(tag); err == nil && number.AtLeast(version.MajorMinor(3, 7)) {
		folder = parts.Loki37
	}
	if folder == "" {
		return "", fmt.Errorf("the program of %s is not built: start the sandbox with --loki-3.7", image)
	}
	return filepath.Join(folder, "loki"), nil
}

// writeConfig rewrites the configuration that the pod mounts, and gives its file.
func writeConfig(n *network.Network, v *cluster.Objects, pod *core.Pod, container *core.Container) (string, error) {
	mounts, err := backends.MountVolumes(n.Cluster, v, pod, container)
	if err != nil {
		return "", err
	}
	mounted := backends.Flag(container.Args, "config.file")
	if mounted == "" {
		return "", errors.New("its pod has no argument -config.file")
	}
	if mounted, err = mounts.Path(mounted); err != nil {
		return "", err
	}
	text, err := os.ReadFile(mounted)
	if err != nil {
		return "", err
	}
	rewritten, err := rewrite(text, mounts, addresses{n.Ports.Loki, n.Ports.LokiGRPC, n.Ports.LokiGossip, v.IsKnown})
	if err != nil {
		return "", err
	}
	file := n.Path("loki.yaml")
	return file, os.WriteFile(file, rewritten, 0o600)
}

// addresses of the process, and whether a Service of the cluster has the host of HOST:PORT.
type addresses struct {
	http, grpc, gossip int
	isKnown            func(string) bool
}

// rewrite changes only paths, addresses and joins.
func rewrite(text []byte, mounts backends.Mounts, to addresses) ([]byte, error) {
	config := map[string]any{}
	if err := yaml.Unmarshal(text, &config); err != nil {
		return nil, err
	}
	if err := rewritePaths(config, mounts); err != nil {
		return nil, err
	}
	const host = "127.0.0.1"
	server := backends.Section(config, "server")
	server["http_listen_address"], server["http_listen_port"] = host, to.http
	server["grpc_listen_address"], server["grpc_listen_port"] = host, to.grpc

	memberlist := backends.Section(config, "memberlist")
	memberlist["bind_addr"], memberlist["bind_port"] = []string{host}, to.gossip
	memberlist["advertise_addr"], memberlist["advertise_port"] = host, to.gossip
	joins, _ := memberlist["join_members"].([]any)
	for index, join := range joins {
		joins[index] = to.local(join, to.gossip)
	}

	common := backends.Section(config, "common")
	common["instance_addr"] = host
	if address, ok := common["compactor_grpc_address"]; ok {
		common["compactor_grpc_address"] = to.local(address, to.grpc)
	}
	_, installed := common["ring"]
	ring := backends.Section(common, "ring")
	ring["instance_addr"] = host
	if !installed {
		// A ring that is configured at all does not take its store from memberlist.
		ring["kvstore"] = map[string]any{"store": "memberlist"}
	}
	return yaml.Marshal(config)
}

// local is the process's own address for one in the cluster, or one that refuses where no Service has the name.
func (a addresses) local(address any, port int) string {
	host, _ := address.(string)
	if !strings.Contains(host, ":") {
		host += ":0"
	}
	if !a.isKnown(host) {
		port = 1
	}
	return sandbox.Loopback(port)
}

// rewritePaths replaces each absolute path by the one of the mounted folder.
func rewritePaths(value any, mounts backends.Mounts) error {
	replace := func(entry any, set func(string)) error {
		text, ok := entry.(string)
		if !ok || !strings.HasPrefix(text, "/") {
			return rewritePaths(entry, mounts)
		}
		path, err := mounts.Path(text)
		if err == nil {
			set(path)
		}
		return err
	}
	switch value := value.(type) {
	case map[string]any:
		for key, entry := range value {
			if err := replace(entry, func(path string) { value[key] = path }); err != nil {
				return err
			}
		}
	case []any:
		for index, entry := range value {
			if err := replace(entry, func(path string) { value[index] = path }); err != nil {
				return err
			}
		}
	}
	return nil
}

// Faulty is Loki with the faults of `logs` that it does not have on demand: it rejects pushes, or accepts and loses them.
func Faulty(n *network.Network) http.Handler {
	return backends.FaultyPost(n.Ports.Loki, "/loki/api/v1/push", func(answer http.ResponseWriter) {
		if fault, _ := n.Fault("logs"); fault.Target == "lost-in-loki" {
			answer.WriteHeader(http.StatusNoContent)
			return
		}
		http.Error(answer, "at least 1 live replicas required, could only find 0", http.StatusInternalServerError)
	})
}
