package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	core "k8s.io/api/core/v1"

	"tailwatch.dev/sandbox/world/backends"
	"tailwatch.dev/sandbox/world/backends/alertmanager"
	"tailwatch.dev/sandbox/world/backends/alloy"
	"tailwatch.dev/sandbox/world/backends/exporters"
	"tailwatch.dev/sandbox/world/backends/grafana"
	"tailwatch.dev/sandbox/world/backends/kubestatemetrics"
	"tailwatch.dev/sandbox/world/backends/loki"
	"tailwatch.dev/sandbox/world/backends/nodeexporter"
	"tailwatch.dev/sandbox/world/backends/oauth2proxy"
	"tailwatch.dev/sandbox/world/backends/prometheus"
	"tailwatch.dev/sandbox/world/charts"
	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/controllers"
	"tailwatch.dev/sandbox/world/controlplane"
	"tailwatch.dev/sandbox/world/httpserver"
	"tailwatch.dev/sandbox/world/kubelet"
	"tailwatch.dev/sandbox/world/network"
	"tailwatch.dev/sandbox/world/oidc"
	"tailwatch.dev/sandbox/world/pki"
	"tailwatch.dev/sandbox/world/process"
	"tailwatch.dev/sandbox/world/sandbox"
)

// world is a running sandbox.
type world struct {
	*cluster.Cluster
	controlPlane *controlplane.ControlPlane
	network      *network.Network
	kubelet      *kubelet.Kubelet
	supervisor   *backends.Supervisor
	// life ends what acts on the present control plane; stopCache ends what acts on the present cache.
	life                context.Context
	stopLife, stopCache context.CancelFunc
}

// newWorld makes what a reset keeps: keys, kubeconfigs, answers, and the servers that need no cluster.
func newWorld(s *sandbox.Sandbox) (*world, error) {
	authority, err := pki.Create(s)
	if err != nil {
		return nil, err
	}
	for file, user := range map[string]string{"kubeconfig-unprivileged": "unprivileged", "kubeconfig-components": "components"} {
		if err := controlplane.WriteKubeconfig(s, file, user); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(s.Path("bin"), 0o700); err != nil {
		return nil, err
	}
	if err := controlplane.WriteAdminKubeconfig(s); err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.Path("answers.yaml"), []byte(answersFile(s)), 0o600); err != nil {
		return nil, err
	}
	if err := charts.Serve(s); err != nil {
		return nil, err
	}
	cluster, err := cluster.New(s, process.NewSet())
	if err != nil {
		return nil, err
	}
	if err := linkPrograms(cluster); err != nil {
		return nil, err
	}
	w := &world{Cluster: cluster, controlPlane: controlplane.New(cluster)}
	exporters := exporters.New(s)
	if w.network, err = network.New(cluster, authority, exporters); err != nil {
		return nil, err
	}
	w.kubelet = kubelet.New(w.network, w.containerLog)
	alloy := alloy.NewFleet(w.network, w.kubelet.Logs())
	w.network.AlloyPort = alloy.Port
	oauth2Proxy, upstream := oauth2proxy.Backend(w.network)
	w.supervisor = backends.NewSupervisor(cluster, prometheus.OperatorBackend(w.network), prometheus.Backend(w.network), alertmanager.Backend(w.network),
		grafana.Backend(w.network), oauth2Proxy, loki.Backend(w.network), alloy.Backend(), nodeexporter.Backend(w.network), kubestatemetrics.Backend(w.network))
	for _, row := range []struct {
		port    int
		keys    string
		handler http.Handler
	}{
		{s.Ports.Scrape, "", http.HandlerFunc(w.network.Proxy)},
		{s.Ports.ExternalProxy, "", http.HandlerFunc(w.network.ExternalProxy)},
		{s.Ports.Upstream, "", upstream},
		{s.Ports.LokiFaulty, "", loki.Faulty(w.network)},
		{s.Ports.AlertmanagerFaulty, "", alertmanager.Faulty(w.network)},
		{s.Ports.Exporters, "", exporters},
		{s.Ports.ExportersTLS, "exporters", exporters},
		{s.Ports.Kubelet, "kubelet", w.kubelet.Handler()},
	} {
		if row.keys == "" {
			_, err = httpserver.Listen(row.port, row.handler)
		} else {
			_, err = httpserver.ListenTLS(row.port, s.Path("pki", row.keys), row.handler)
		}
		if err != nil {
			return nil, err
		}
	}
	issuer, err := oidc.New(s.Canary, func() string { fault, _ := s.Fault("issuer"); return fault.Target })
	if err != nil {
		return nil, err
	}
	if err := w.network.ListenExternal(issuer); err != nil {
		return nil, err
	}
	return w, w.network.ServeEgress()
}

// linkPrograms fills the folder that `scripts/sandbox env` puts on the PATH.
func linkPrograms(c *cluster.Cluster) error {
	programs := map[string]string{"kubectl": c.Binary("kubectl"), "promtool": c.Binary("promtool"), "helm": c.HelmBinary()}
	for link, target := range programs {
		if err := os.Symlink(target, c.Path("bin", link)); err != nil {
			return err
		}
	}
	return nil
}

// start makes a new cluster, with the faults that are on.
func (w *world) start(ctx context.Context) error {
	w.life, w.stopLife = context.WithCancel(context.Background())
	if err := w.controlPlane.Start(ctx); err != nil {
		return err
	}
	if err := w.controlPlane.MakeObjects(ctx); err != nil {
		return err
	}
	if err := w.controlPlane.StartControllers(); err != nil {
		return err
	}
	w.RecordEvents(w.life)
	w.kubelet.Start(w.life)
	if err := w.applyPodFaults(); err != nil {
		return err
	}
	if err := w.startComponents(); err != nil {
		return err
	}
	if err := w.controlPlane.AwaitControllers(ctx); err != nil {
		return err
	}
	if err := w.controlPlane.ApplyClusterFaults(ctx); err != nil {
		return err
	}
	for _, kind := range []string{"controllers-down", "api-down"} {
		if _, on := w.Fault(kind); on {
			if err := w.applyFaults(ctx, kind, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// startComponents fills a new cache of the cluster's objects, and starts the simulated components that act by it.
func (w *world) startComponents() error {
	if w.stopCache != nil {
		w.stopCache()
	}
	ctx, stop := context.WithCancel(w.life)
	w.stopCache = stop
	objects, err := w.Watch(ctx)
	if err != nil {
		return err
	}
	if err := w.kubelet.Watch(objects); err != nil {
		return err
	}
	go controllers.Run(ctx, w.Cluster)
	go w.supervisor.Run(ctx)
	return nil
}

// recoverFromOutage starts the API server, restarts the controllers, which lose their leases in an outage, and restarts
// the watches, which clients retry with growing intervals.
func (w *world) recoverFromOutage(ctx context.Context) error {
	if err := w.controlPlane.StartAPI(); err != nil {
		return err
	}
	if err := w.controlPlane.AwaitAPI(ctx); err != nil {
		return err
	}
	w.controlPlane.StopControllers()
	if _, down := w.Fault("controllers-down"); !down {
		if err := w.controlPlane.StartControllers(); err != nil {
			return err
		}
	}
	return w.startComponents()
}

// stop ends the control plane, the backends and what acts on them.
func (w *world) stop() {
	if w.stopLife != nil {
		w.stopLife()
	}
	w.Processes.Kill()
	w.supervisor.Stop()
	_ = os.RemoveAll(w.Path("volumes"))
}

// containerLog is the log of the backend that answers for a container.
func (w *world) containerLog(pod *core.Pod, container string) ([]string, error) {
	file := w.supervisor.LogFile(pod, container)
	if file == "" {
		return controllers.TailscaleOperatorLog(w.Cluster, pod), nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) || len(text) == 0 {
		return nil, nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), err
}

func (w *world) describe() string {
	text := fmt.Sprintf("  API server     https://%s\n  charts         http://%s\n", w.API(), sandbox.Loopback(w.Ports.Charts))
	text += w.controlPlane.Describe() + w.supervisor.Describe()
	faults := []string{}
	for _, fault := range w.ActiveFaults() {
		faults = append(faults, fault.String())
	}
	if len(faults) > 0 {
		text += "  faults         " + strings.Join(faults, ", ") + "\n"
	}
	return text
}
