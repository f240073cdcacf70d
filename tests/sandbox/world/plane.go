package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Addresses that exist only inside the simulated cluster.
const (
	serviceRange = "10.0.0.0/24"
	nodeRange    = "10.2.0.0/16"
	// apiAddress stands for the API server in the Service `kubernetes`.
	apiAddress = "10.1.0.1"
	apiPort    = 6443
)

// nodeAddress of a node, counted from 0.
func nodeAddress(number int) string { return fmt.Sprintf("10.2.%d.%d", number/250, number%250+1) }

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  userGroups: ["system:nodes", "system:serviceaccounts"]
- level: None
  users: ["sandbox-parts"]
- level: Metadata
`

func (s *Sandbox) egressSelector() string {
	return `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport:
      uds: { udsName: ` + s.path("egress.sock") + ` }
`
}

// writeKubeconfig makes a kubeconfig of the admin, one per file and user.
func (s *Sandbox) writeKubeconfig(file, user string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["sandbox"] = &clientcmdapi.Cluster{
		Server: "https://" + loopback(s.Ports.API), CertificateAuthority: s.path("pki", "ca.crt"),
	}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{
		ClientCertificate: s.path("pki", user+".crt"), ClientKey: s.path("pki", user+".key"),
	}
	config.Contexts["sandbox-"+s.Name] = &clientcmdapi.Context{Cluster: "sandbox", AuthInfo: user}
	config.CurrentContext = "sandbox-" + s.Name
	return clientcmd.WriteToFile(*config, s.path(file))
}

func (s *Sandbox) client() (*rest.Config, *kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", s.path("kubeconfig-parts"))
	if err != nil {
		return nil, nil, err
	}
	config.QPS, config.Burst = 2000, 4000
	client, err := kubernetes.NewForConfig(config)
	return config, client, err
}

func (w *world) binary(name string) string { return filepath.Join(w.Parts.Programs, name) }

// run starts a part of the control plane that does not run.
func (w *world) run(name, program string, arguments ...string) error {
	if w.child(name).running() {
		return nil
	}
	child, err := w.processes.start(w.Sandbox, name, program, arguments, nil)
	if err != nil {
		return err
	}
	w.mutex.Lock()
	w.children[name] = child
	w.mutex.Unlock()
	return nil
}

func (w *world) startAPI() error {
	pki := func(file string) string { return w.path("pki", file) }
	return w.run("kube-apiserver", w.binary("kube-apiserver"),
		"--etcd-servers=http://"+loopback(w.Ports.EtcdClient),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", w.Ports.API),
		"--tls-cert-file="+pki("apiserver.crt"), "--tls-private-key-file="+pki("apiserver.key"),
		"--client-ca-file="+pki("ca.crt"),
		"--service-account-key-file="+pki("service-accounts.key"),
		"--service-account-signing-key-file="+pki("service-accounts.key"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-cluster-ip-range="+serviceRange,
		"--endpoint-reconciler-type=none", "--advertise-address="+apiAddress,
		"--authorization-mode=Node,RBAC", "--allow-privileged=true",
		// New nodes are ready, see nodes.go.
		"--disable-admission-plugins=TaintNodesByCondition",
		"--kubelet-client-certificate="+pki("admin.crt"), "--kubelet-client-key="+pki("admin.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--egress-selector-config-file="+w.path("egress.yaml"),
		"--audit-policy-file="+w.path("audit-policy.yaml"), "--audit-log-path="+w.path("audit.log"),
		"--profiling=false", "--max-requests-inflight=0", "--max-mutating-requests-inflight=0",
		"--enable-priority-and-fairness=false", "--watch-cache=true", "--shutdown-delay-duration=0s",
	)
}

// startPlane brings up a ready control plane with an empty store.
func (w *world) startPlane(ctx context.Context) error {
	if err := os.RemoveAll(w.path("etcd")); err != nil {
		return err
	}
	for file, text := range map[string]string{"egress.yaml": w.egressSelector(), "audit-policy.yaml": auditPolicy} {
		if err := os.WriteFile(w.path(file), []byte(text), 0o600); err != nil {
			return err
		}
	}
	client, peer := "http://"+loopback(w.Ports.EtcdClient), "http://"+loopback(w.Ports.EtcdPeer)
	if err := w.run("etcd", w.binary("etcd"), "--data-dir="+w.path("etcd"),
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer,
		"--unsafe-no-fsync", "--log-level=warn"); err != nil {
		return err
	}
	if err := w.startAPI(); err != nil {
		return err
	}
	if err := w.awaitAPI(ctx); err != nil {
		return err
	}
	return w.startKwok()
}

func (w *world) stopControllers() {
	w.child("kube-scheduler").stop()
	w.child("kube-controller-manager").stop()
}

func (w *world) startControllers() error {
	kubeconfig := "--kubeconfig=" + w.path("kubeconfig-parts")
	batches := "0s"
	if w.Nodes > 100 {
		// A DaemonSet's pods become ready one by one, and each would rewrite a list with all their addresses.
		batches = "1s"
	}
	if err := w.run("kube-controller-manager", w.binary("kube-controller-manager"), kubeconfig,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", w.Ports.Controllers), "--leader-elect=false",
		"--root-ca-file="+w.path("pki", "ca.crt"),
		"--service-account-private-key-file="+w.path("pki", "service-accounts.key"),
		"--use-service-account-credentials=false", "--kube-api-qps=2000", "--kube-api-burst=4000",
		// Nodes have no leases and send no heartbeats, so that ever so many cost nothing while nothing happens.
		"--node-monitor-grace-period=10000h", "--profiling=false",
		"--endpoint-updates-batch-period="+batches, "--endpointslice-updates-batch-period="+batches); err != nil {
		return err
	}
	return w.run("kube-scheduler", w.binary("kube-scheduler"), kubeconfig,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", w.Ports.Scheduler), "--leader-elect=false",
		"--kube-api-qps=2000", "--kube-api-burst=4000", "--profiling=false")
}

// awaitAPI waits for /readyz, and says which process ended where it never comes.
func (w *world) awaitAPI(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		_, err := w.kube.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err == nil {
			return nil
		}
		for _, name := range []string{"etcd", "kube-apiserver"} {
			if child := w.child(name); !child.running() {
				text, _ := os.ReadFile(w.path("log", name+".log"))
				return fmt.Errorf("%s ended:\n%s", name, tail(text))
			}
		}
		select {
		case <-ctx.Done():
			return errors.New("the API server was not ready within 60 s")
		case <-time.After(50 * time.Millisecond):
		}
	}
}
