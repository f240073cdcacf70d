package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Ports of one sandbox, all on 127.0.0.1.
type Ports struct {
	EtcdClient, EtcdPeer, API, Controllers, Scheduler, Kubelet, Kwok int
	Charts                                                           int
	Scrape, Operator, Prometheus, Door, DoorMetrics, Upstream        int
	Grafana, Loki, Alertmanager, Issuer, Exporters, ExportersTLS     int
	Outside, Tailnet                                                 int
	// DoorBehind: where oauth2-proxy listens while a fault stands in front of it.
	DoorBehind int
}

// Settings of one sandbox, kept in its folder so that every command finds them.
type Settings struct {
	Name     string
	Nodes    int
	Helm     int
	Slow     bool
	OwnerPID int
	Ports    Ports
	Parts    Parts
	// Folder of the stand-in charts' sources.
	Charts string
	// Folder of real charts (.tgz) to serve instead.
	RealCharts string
	Faults     []Fault
	Canary     string
}

// Parts are the folders of the built binaries.
type Parts struct{ Programs, Helm3 string }

// Sandbox is a folder and its settings.
type Sandbox struct {
	Dir string
	Settings
	// faultsMutex guards Settings.Faults.
	faultsMutex sync.Mutex
}

const (
	tailnet     = "tail1a2b.ts.net"
	issuerHost  = "acme.eu.auth0.com"
	groupsClaim = "https://acme.example/groups"
	clientID    = "tailwatch-sandbox"
)

func home() string {
	if folder := os.Getenv("TAILWATCH_SANDBOX_HOME"); folder != "" {
		return folder
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("tailwatch-sandbox-%d", os.Getuid()))
}

func (s *Sandbox) path(parts ...string) string {
	return filepath.Join(append([]string{s.Dir}, parts...)...)
}

func (s *Sandbox) save() error {
	text, err := json.MarshalIndent(s.Settings, "", "  ")
	if err != nil {
		return err
	}
	// Others read it at any time.
	if err := os.WriteFile(s.path("settings.new"), text, 0o600); err != nil {
		return err
	}
	return os.Rename(s.path("settings.new"), s.path("settings.json"))
}

func load(dir string) (*Sandbox, error) {
	text, err := os.ReadFile(filepath.Join(dir, "settings.json"))
	if err != nil {
		return nil, err
	}
	s := &Sandbox{Dir: dir}
	return s, json.Unmarshal(text, &s.Settings)
}

// find gives the named sandbox, or the only one there is.
func find(name string) (*Sandbox, error) {
	if name != "" {
		s, err := load(filepath.Join(home(), name))
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("there is no sandbox %s; `scripts/sandbox status` lists them", name)
		}
		return s, err
	}
	all := everySandbox()
	switch len(all) {
	case 0:
		return nil, errors.New("no sandbox is up; start one with `scripts/sandbox up`")
	case 1:
		return all[0], nil
	}
	names := []string{}
	for _, s := range all {
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("several sandboxes are up, name one with --name: %s", strings.Join(names, ", "))
}

func everySandbox() []*Sandbox {
	entries, _ := os.ReadDir(home())
	all := []*Sandbox{}
	for _, entry := range entries {
		if s, err := load(filepath.Join(home(), entry.Name())); err == nil {
			all = append(all, s)
		}
	}
	return all
}

// claim gives the sandbox ports of its own and keeps them in its folder. A port is another's as long as that one's
// folder is there: many are listened on only once a stack is installed, and not while a fault is on.
func (s *Sandbox) claim() error {
	if err := os.MkdirAll(s.path("log"), 0o700); err != nil {
		return err
	}
	lock, err := os.Open(home())
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	taken := map[int]bool{}
	for _, other := range everySandbox() {
		for _, port := range other.Ports.fields() {
			taken[*port] = true
		}
	}
	fields := s.Ports.fields()
	ports, err := freePorts(len(fields), taken)
	if err != nil {
		return err
	}
	for index, field := range fields {
		*field = ports[index]
	}
	return s.save()
}

// freePorts picks ports below the range from which the system takes ports for outgoing connections, so that none
// is taken between this look and its use by anything but another sandbox.
func freePorts(count int, taken map[int]bool) ([]int, error) {
	ports := []int{}
	held := []net.Listener{}
	defer func() {
		for _, listener := range held {
			listener.Close()
		}
	}()
	for tries := 0; len(ports) < count; tries++ {
		if tries > 2000 {
			return nil, errors.New("no free ports between 20000 and 32000")
		}
		port := 20000 + rand.IntN(12000)
		if taken[port] {
			continue
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		held = append(held, listener)
		ports = append(ports, port)
	}
	return ports, nil
}

func (p *Ports) fields() []*int {
	return []*int{&p.EtcdClient, &p.EtcdPeer, &p.API, &p.Controllers, &p.Scheduler, &p.Kubelet, &p.Kwok, &p.Charts, &p.Scrape,
		&p.Operator, &p.Prometheus, &p.Door, &p.DoorMetrics, &p.Grafana, &p.Loki, &p.Alertmanager, &p.Issuer,
		&p.Exporters, &p.ExportersTLS, &p.Upstream, &p.Outside, &p.Tailnet, &p.DoorBehind}
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func (s *Sandbox) faults() []Fault {
	s.faultsMutex.Lock()
	defer s.faultsMutex.Unlock()
	return slices.Clone(s.Faults)
}

func (s *Sandbox) setFaults(faults []Fault) error {
	s.faultsMutex.Lock()
	defer s.faultsMutex.Unlock()
	s.Faults = faults
	return s.save()
}

func (s *Sandbox) fault(kind string) (Fault, bool) {
	for _, fault := range s.faults() {
		if fault.Kind == kind {
			return fault, true
		}
	}
	return Fault{}, false
}

// helm is the program of the chosen major version.
func (s *Sandbox) helm() string {
	if s.Helm == 3 {
		return filepath.Join(s.Parts.Helm3, "helm3")
	}
	return filepath.Join(s.Parts.Programs, "helm4")
}
