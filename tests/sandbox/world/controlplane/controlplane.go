// Package controlplane runs the real etcd, API server, controller manager and scheduler, and makes the objects of an
// empty cluster.
package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/process"
	"tailwatch.dev/sandbox/world/sandbox"
)

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  userGroups: ["system:nodes", "system:serviceaccounts"]
- level: None
  users: ["sandbox-components"]
- level: Metadata
`

func egressSelector(s *sandbox.Sandbox) string {
	return `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport:
      uds: { udsName: ` + s.Path("egress.sock") + ` }
`
}

// run starts a process unless it is running.
func (p *ControlPlane) run(name string, arguments ...string) error {
	if p.child(name).Running() {
		return nil
	}
	child, err := p.StartProcess(name, arguments, nil)
	if err != nil {
		return err
	}
	p.mutex.Lock()
	p.children[name] = child
	p.mutex.Unlock()
	return nil
}

// largestMetrics are four fifths of a page of 3.5 MB. Prometheus scrapes it every few seconds, which took a twentieth of a
// core for each idle sandbox, and as much for its own work.
var largestMetrics = []string{
	"etcd_request_duration_seconds", "apiserver_request_duration_seconds", "apiserver_request_sli_duration_seconds",
	"apiserver_request_body_size_bytes", "apiserver_watch_list_duration_seconds", "apiserver_watch_cache_read_wait_seconds",
	"apiserver_response_sizes", "apiserver_watch_events_sizes",
}

func (p *ControlPlane) StartAPI() error {
	pki := func(file string) string { return p.Path("pki", file) }
	bindAddress, _, _ := net.SplitHostPort(p.API())
	return p.run("kube-apiserver", append([]string{
		"--etcd-servers=http://" + sandbox.Loopback(p.Ports.EtcdClient),
		"--bind-address=" + bindAddress, fmt.Sprintf("--secure-port=%d", p.Ports.API),
		"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
		"--client-ca-file=" + pki("ca.crt"),
		"--service-account-key-file=" + pki("service-accounts.key"),
		"--service-account-signing-key-file=" + pki("service-accounts.key"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-cluster-ip-range=" + p.World.Network.Services,
		"--endpoint-reconciler-type=none", "--advertise-address=" + p.ApiAddress(),
		"--authorization-mode=Node,RBAC", "--allow-privileged=true",
		// New nodes are created ready, see nodes.go.
		"--disable-admission-plugins=TaintNodesByCondition",
		"--kubelet-client-certificate=" + pki("admin.crt"), "--kubelet-client-key=" + pki("admin.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--egress-selector-config-file=" + p.Path("egress.yaml"),
		"--audit-policy-file=" + p.Path("audit-policy.yaml"), "--audit-log-path=" + p.Path("audit.log"),
		"--profiling=false", "--max-requests-inflight=0", "--max-mutating-requests-inflight=0",
		"--enable-priority-and-fairness=false", "--watch-cache=true", "--shutdown-delay-duration=0s",
		"--disabled-metrics=" + strings.Join(largestMetrics, ","),
		"--admission-control-config-file=" + p.Path("admission.json"), "--token-auth-file=" + pki("tokens.csv"),
	}, p.World.APIServer.Flags...)...)
}

// Start brings up a ready control plane with an empty store.
func (p *ControlPlane) Start(ctx context.Context) error {
	if err := os.RemoveAll(p.Path("etcd")); err != nil {
		return err
	}
	admission, err := json.Marshal(map[string]any{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": p.World.APIServer.Admission,
	})
	if err != nil {
		return err
	}
	for file, text := range map[string]string{"egress.yaml": egressSelector(p.Sandbox), "audit-policy.yaml": auditPolicy, "admission.json": string(admission)} {
		if err := os.WriteFile(p.Path(file), []byte(text), 0o600); err != nil {
			return err
		}
	}
	client, peer := "http://"+sandbox.Loopback(p.Ports.EtcdClient), "http://"+sandbox.Loopback(p.Ports.EtcdPeer)
	if err := p.run("etcd", "--data-dir="+p.Path("etcd"),
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer,
		"--unsafe-no-fsync", "--log-level=warn"); err != nil {
		return err
	}
	if err := p.StartAPI(); err != nil {
		return err
	}
	if err := p.AwaitAPI(ctx); err != nil {
		return err
	}
	return p.startKwok()
}

func (p *ControlPlane) StopControllers() {
	p.child("kube-scheduler").Stop()
	p.child("kube-controller-manager").Stop()
}

func (p *ControlPlane) StartControllers() error {
	kubeconfig := "--kubeconfig=" + p.Path("kubeconfig-components")
	batches := "0s"
	if p.Nodes > 100 {
		// A DaemonSet's pods become ready one by one, and each would update the EndpointSlice of all.
		batches = "1s"
	}
	if err := p.run("kube-controller-manager", kubeconfig,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", p.Ports.Controllers), "--leader-elect=false",
		"--root-ca-file="+p.Path("pki", "ca.crt"),
		"--service-account-private-key-file="+p.Path("pki", "service-accounts.key"),
		"--use-service-account-credentials=false", "--kube-api-qps=2000", "--kube-api-burst=4000",
		// Nodes have no leases and send no heartbeats, so that many idle nodes need no CPU time.
		"--node-monitor-grace-period=10000h", "--profiling=false",
		"--endpoint-updates-batch-period="+batches, "--endpointslice-updates-batch-period="+batches); err != nil {
		return err
	}
	return p.run("kube-scheduler", kubeconfig,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", p.Ports.Scheduler), "--leader-elect=false",
		"--kube-api-qps=2000", "--kube-api-burst=4000", "--profiling=false")
}

// AwaitAPI waits for /readyz, or names the process that ended.
func (p *ControlPlane) AwaitAPI(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		_, err := p.Kube.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err == nil {
			return nil
		}
		for _, name := range []string{"etcd", "kube-apiserver"} {
			if child := p.child(name); !child.Running() {
				text, _ := os.ReadFile(p.Path("log", name+".log"))
				return fmt.Errorf("%s ended:\n%s", name, process.LastLines(text))
			}
		}
		select {
		case <-ctx.Done():
			return errors.New("the API server was not ready within 60 s")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// ControlPlane runs etcd, the API server, the controllers and kwok as child processes.
type ControlPlane struct {
	*cluster.Cluster
	mutex    sync.Mutex
	children map[string]*process.Process
}

func New(c *cluster.Cluster) *ControlPlane {
	return &ControlPlane{Cluster: c, children: map[string]*process.Process{}}
}

func (p *ControlPlane) child(name string) *process.Process {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.children[name]
}

// Describe lists the processes, one per line.
func (p *ControlPlane) Describe() string {
	p.mutex.Lock()
	names := slices.Sorted(maps.Keys(p.children))
	p.mutex.Unlock()
	text := ""
	for _, name := range names {
		text += fmt.Sprintf("  %-24s %s\n", name, p.child(name))
	}
	return text
}

// StopAPI stops the API server.
func (p *ControlPlane) StopAPI() { p.child("kube-apiserver").Stop() }
