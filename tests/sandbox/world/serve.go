package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
)

// world is a running sandbox.
type world struct {
	*Sandbox
	processes *processes
	config    *rest.Config
	kube      *kubernetes.Clientset
	// viewed is what stands in the cluster.
	viewed atomic.Pointer[view]
	// events sends what the simulated components tell.
	events   record.EventBroadcaster
	backends *backends
	kubelet  *kubelet
	charts   map[string]chartArchive
	outside  *outside
	// upstream is oauth2-proxy's.
	upstream atomic.Pointer[url.URL]

	mutex    sync.Mutex
	children map[string]*process
	// stopLife ends everything that acts on the present control plane, stopView what looks at it.
	stopLife, stopView context.CancelFunc
}

func (w *world) child(name string) *process {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.children[name]
}

func serve(arguments []string) error {
	s, err := load(arguments[0])
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.path("pid"), fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	w := &world{Sandbox: s, processes: newProcesses(), children: map[string]*process{}}
	defer w.stopEverything()
	if err := w.prepare(); err != nil {
		return err
	}
	if err := w.bringUp(ctx); err != nil {
		return err
	}
	if err := w.listenForCommands(); err != nil {
		return err
	}
	if err := os.WriteFile(w.path("ready"), nil, 0o600); err != nil {
		return err
	}
	w.untilOwnerIsGone(ctx)
	return nil
}

// prepare makes what outlives a reset: keys, kubeconfigs, answers, the servers that need no cluster.
func (w *world) prepare() error {
	authority, err := w.makeKeys()
	if err != nil {
		return err
	}
	if w.outside, err = newOutside(authority); err != nil {
		return err
	}
	if err := w.writeKubeconfig("kubeconfig", "admin"); err != nil {
		return err
	}
	for _, user := range []string{"nobody", "parts"} {
		if err := w.writeKubeconfig("kubeconfig-"+user, user); err != nil {
			return err
		}
	}
	if w.config, w.kube, err = w.client(); err != nil {
		return err
	}
	if err := os.WriteFile(w.path("answers.yaml"), []byte(w.answersFile()), 0o600); err != nil {
		return err
	}
	if err := os.MkdirAll(w.path("bin"), 0o700); err != nil {
		return err
	}
	for link, target := range map[string]string{"kubectl": w.binary("kubectl"), "helm": w.helm()} {
		if err := os.Symlink(target, w.path("bin", link)); err != nil {
			return err
		}
	}
	if err := w.serveCharts(); err != nil {
		return err
	}
	w.backends = newBackends(w)
	w.kubelet = newKubelet(w)
	if _, err := w.listen(w.Ports.Kubelet, "kubelet", w.kubelet.serve()); err != nil {
		return err
	}
	return w.serveEgress()
}

func (w *world) answersFile() string {
	return `# Answers of sandbox ` + w.Name + `; the client secret is in the variable that ` + "`scripts/sandbox env`" + ` prints.
version: 1
tailnet: ` + tailnet + `
auth0:
  issuer: https://` + issuerHost + `/
  clientId: ` + clientID + `
  clientSecret: { env: AUTH0_CLIENT_SECRET }
  groupsClaim: ` + groupsClaim + `
`
}

func (p *process) String() string {
	if p.running() {
		return fmt.Sprintf("pid %d", p.cmd.Process.Pid)
	}
	return "not running"
}

func (w *world) untilOwnerIsGone(ctx context.Context) {
	ctx, gone := context.WithCancel(ctx)
	defer gone()
	every(ctx, 500*time.Millisecond, func() {
		if w.OwnerPID > 0 && syscall.Kill(w.OwnerPID, 0) != nil {
			log.Printf("the owner (pid %d) is gone", w.OwnerPID)
			w.stopEverything()
			_ = os.RemoveAll(w.Dir)
			gone()
		}
	})
}

func (w *world) listenForCommands() error {
	listener, err := net.Listen("unix", w.path("control.sock"))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	var one sync.Mutex
	handle := func(path string, work func(*http.Request) error) {
		mux.HandleFunc(path, func(answer http.ResponseWriter, request *http.Request) {
			one.Lock()
			defer one.Unlock()
			if err := work(request); err != nil {
				http.Error(answer, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	mux.HandleFunc("/status", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprint(answer, w.describe()) })
	handle("/fault", func(request *http.Request) error {
		query := request.URL.Query()
		on := query.Get("to") == "on"
		fault, err := parseFault(query.Get("fault"), on)
		if err != nil {
			return err
		}
		return w.switchFault(request.Context(), fault, on)
	})
	handle("/reset", func(*http.Request) error {
		w.stopEverything()
		if err := w.setFaults(nil); err != nil {
			return err
		}
		for _, file := range []string{"audit.log", "egress.log"} {
			_ = os.Truncate(w.path(file), 0)
		}
		_ = os.RemoveAll(w.path("cache"))
		return w.bringUp(context.Background())
	})
	go func() { _ = http.Serve(listener, mux) }()
	return nil
}

func (w *world) describe() string {
	text := fmt.Sprintf("  API server     https://%s\n  charts         http://%s\n", loopback(w.Ports.API), loopback(w.Ports.Charts))
	w.mutex.Lock()
	names := []string{}
	for name := range w.children {
		names = append(names, name)
	}
	w.mutex.Unlock()
	slices.Sort(names)
	for _, name := range names {
		text += fmt.Sprintf("  %-24s %s\n", name, w.child(name))
	}
	text += w.backends.describe()
	faults := []string{}
	for _, fault := range w.faults() {
		faults = append(faults, fault.String())
	}
	if len(faults) > 0 {
		text += "  faults         " + strings.Join(faults, ", ") + "\n"
	}
	return text
}
