package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
)

// backends are the processes and servers behind the simulated pods. Each takes its configuration from the objects in
// the cluster, never from a file of its own: a wrong value of an installation shows up here as it would in a pod.
type backends struct {
	w       *world
	mutex   sync.Mutex
	keepers []*keeper
	// always are the servers that stand for the world outside.
	always []*server
	issuer *issuer
	alloy  *alloyFleet
	logs   *lokiStore
}

// running is something that was started.
type running interface {
	running() bool
	stop()
}

// keeper keeps one backend as the cluster wants it.
type keeper struct {
	name string
	// want says what should run: nil for nothing. The same fingerprint means that what runs may stay.
	want func(*view) *wanted
	// refresh brings changed configuration to what runs, where that needs no restart.
	refresh func(*view)

	fingerprint string
	current     running
	err         error
	retry       time.Time
}

type wanted struct {
	fingerprint string
	start       func() (running, error)
}

func newBackends(w *world) *backends {
	b := &backends{w: w, alloy: newAlloyFleet(w), logs: &lokiStore{}}
	prometheus := &prometheusBackend{w: w}
	b.keepers = []*keeper{
		{name: "operator", want: w.operatorWanted},
		{name: "prometheus", want: prometheus.wanted, refresh: prometheus.refresh},
		{name: "alertmanager", want: w.alertmanagerWanted},
		{name: "grafana", want: w.grafanaWanted},
		{name: "oauth2-proxy", want: w.doorWanted},
		{name: "loki", want: func(v *view) *wanted { return w.lokiWanted(v, b.logs) }},
		{name: "alloy", want: b.alloy.wanted, refresh: func(v *view) { _ = b.alloy.sync(v) }},
	}
	return b
}

// keep looks at the cluster until the context ends.
func (b *backends) keep(ctx context.Context) {
	if err := b.startAlways(); err != nil {
		log.Printf("backends: %v", err)
	}
	view, seen := b.w.view(), int64(-1)
	every(ctx, 150*time.Millisecond, func() {
		b.mutex.Lock()
		defer b.mutex.Unlock()
		changes := view.changes.Load()
		for _, keeper := range b.keepers {
			if ctx.Err() == nil && (changes != seen || keeper.isDue()) {
				keeper.reconcile(b.w.Sandbox, view)
			}
		}
		seen = changes
	})
}

// adapt brings the backends to the faults that are on, and waits until oauth2-proxy stands again where it is rebuilt.
func (b *backends) adapt(ctx context.Context) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	view := b.w.view()
	for _, keeper := range b.keepers {
		before := keeper.fingerprint
		keeper.reconcile(b.w.Sandbox, view)
		if keeper.name == "oauth2-proxy" && keeper.fingerprint != before && keeper.current != nil {
			b.w.awaitDoor(ctx)
		}
	}
}

func (b *backends) startAlways() error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.always != nil {
		return nil
	}
	var err error
	if b.issuer, err = newIssuer(b.w.Canary, func() string { fault, _ := b.w.fault("issuer"); return fault.Target }); err != nil {
		return err
	}
	exporters := http.HandlerFunc(b.w.exporters)
	for _, row := range []struct {
		port    int
		keys    string
		handler http.Handler
	}{
		{b.w.Ports.Scrape, "", http.HandlerFunc(b.w.proxy)},
		{b.w.Ports.Upstream, "", http.HandlerFunc(b.w.serveUpstream)},
		{b.w.Ports.Outside, "", http.HandlerFunc(b.w.outsideProxy)},
		{b.w.Ports.Exporters, "", exporters},
		{b.w.Ports.ExportersTLS, "exporters", exporters},
	} {
		started, err := b.w.listen(row.port, row.keys, row.handler)
		if err != nil {
			return err
		}
		b.always = append(b.always, started)
	}
	outside, err := b.w.listenOutside(b.issuer)
	b.always = append(b.always, outside...)
	return err
}

// isDue: there is something to do although nothing has changed in the cluster.
func (k *keeper) isDue() bool {
	if k.current != nil {
		return !k.current.running()
	}
	return !k.retry.IsZero() && time.Now().After(k.retry)
}

func (k *keeper) reconcile(s *Sandbox, v *view) {
	want := k.want(v)
	if want == nil || want.fingerprint != k.fingerprint {
		if k.current != nil {
			k.current.stop()
			k.current = nil
		}
		k.fingerprint, k.err, k.retry = "", nil, time.Time{}
	}
	if want == nil {
		return
	}
	if k.current != nil && !k.current.running() {
		// As a kubelet does with a container that ended.
		log.Printf("%s ended", k.name)
		k.current, k.retry = nil, time.Now().Add(2*time.Second)
	}
	if k.current == nil && time.Now().After(k.retry) {
		k.fingerprint = want.fingerprint
		s.turnLog(k.name)
		if k.current, k.err = want.start(); k.err != nil {
			log.Printf("%s: %v", k.name, k.err)
			s.note(k.name, "error", k.err.Error())
			k.current, k.retry = nil, time.Now().Add(2*time.Second)
		} else {
			log.Printf("%s started", k.name)
			s.note(k.name, "info", "started")
		}
	}
	if k.current != nil && k.refresh != nil {
		k.refresh(v)
	}
}

func (b *backends) stop() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, keeper := range b.keepers {
		if keeper.current != nil {
			keeper.current.stop()
			keeper.current, keeper.fingerprint = nil, ""
		}
	}
	// The volume goes with the cluster.
	b.logs.clear()
}

func (b *backends) describe() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	text := ""
	for _, keeper := range b.keepers {
		switch {
		case keeper.err != nil:
			text += fmt.Sprintf("  %-24s %v\n", keeper.name, keeper.err)
		case keeper.current != nil:
			text += fmt.Sprintf("  %-24s runs\n", keeper.name)
		}
	}
	return text
}

// server is an HTTP server on loopback.
type server struct {
	http  *http.Server
	mutex sync.Mutex
	ended bool
	// stopping ends what works beside the server.
	stopping context.CancelFunc
}

func (w *world) listen(port int, keys string, handler http.Handler) (*server, error) {
	listener, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return nil, err
	}
	s := &server{http: &http.Server{Handler: handler, ErrorLog: discardLog}}
	go func() {
		if keys == "" {
			_ = s.http.Serve(listener)
		} else {
			_ = s.http.ServeTLS(listener, w.path("pki", keys+".crt"), w.path("pki", keys+".key"))
		}
		s.mutex.Lock()
		s.ended = true
		s.mutex.Unlock()
	}()
	return s, nil
}

var discardLog = log.New(discard{}, "", 0)

type discard struct{}

func (discard) Write(text []byte) (int, error) { return len(text), nil }

func (s *server) running() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return !s.ended
}

func (s *server) stop() {
	if s.stopping != nil {
		s.stopping()
	}
	_ = s.http.Close()
}

// versionsOf what a pod mounts tell whether any of it has changed.
func (v *view) versionsOf(pod *core.Pod) string {
	versions := string(pod.UID)
	for _, volume := range pod.Spec.Volumes {
		if volume.ConfigMap != nil {
			if config, err := v.configs.ConfigMaps(pod.Namespace).Get(volume.ConfigMap.Name); err == nil {
				versions += " " + config.ResourceVersion
			}
		}
		if volume.Secret != nil {
			if secret, err := v.secrets.Secrets(pod.Namespace).Get(volume.Secret.SecretName); err == nil {
				versions += " " + secret.ResourceVersion
			}
		}
	}
	return versions
}

// backendLog is the file with the log of the backend that stands for a container, if one does.
func (w *world) backendLog(pod *core.Pod, container string) string {
	name := app(pod)
	switch {
	case name == operatorApp && container == pod.Spec.Containers[0].Name:
		name = "operator"
	case name != container || !slices.ContainsFunc(w.backends.keepers, func(k *keeper) bool { return k.name == name }):
		return ""
	}
	return w.path("log", name+".log")
}

// turnLog: a backend that starts begins a new log; the one before is kept beside it.
func (s *Sandbox) turnLog(name string) {
	_ = os.Rename(s.path("log", name+".log"), s.path("log", name+".previous.log"))
}

// note adds a line to a backend's log: those that are not processes have no other.
func (s *Sandbox) note(name, level, message string) {
	file, err := os.OpenFile(s.path("log", name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer file.Close()
	fmt.Fprintf(file, "ts=%s level=%s msg=%q\n", time.Now().UTC().Format(time.RFC3339Nano), level, message)
}

// configMapOf reads a key of the ConfigMap that a pod mounts.
func (v *view) configMapOf(pod *core.Pod, key string) (string, bool) {
	for _, volume := range pod.Spec.Volumes {
		if volume.ConfigMap == nil {
			continue
		}
		if config, err := v.configs.ConfigMaps(pod.Namespace).Get(volume.ConfigMap.Name); err == nil {
			if text, ok := config.Data[key]; ok {
				return text, true
			}
		}
	}
	return "", false
}

func container(pod *core.Pod, name string) *core.Container {
	for index := range pod.Spec.Containers {
		if pod.Spec.Containers[index].Name == name {
			return &pod.Spec.Containers[index]
		}
	}
	return nil
}

func hash(parts ...string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(parts, "\x00"))))
}

// replaceFlags changes or (for an empty value) drops `--flag=value` arguments.
func replaceFlags(arguments []string, changes map[string]string) []string {
	kept := []string{}
	for _, argument := range arguments {
		name, _, _ := strings.Cut(strings.TrimLeft(argument, "-"), "=")
		value, changed := changes[name]
		switch {
		case !changed:
			kept = append(kept, argument)
		case value != "":
			kept = append(kept, "--"+name+"="+value)
		}
	}
	return kept
}
