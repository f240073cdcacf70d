// Package sandbox keeps one sandbox: its folder, settings, ports, faults and logs.
package sandbox

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

	"tailwatch.dev/sandbox/world/worlds"
)

// Ports of one sandbox, all on loopback.
type Ports struct {
	EtcdClient, EtcdPeer, API, Controllers, Scheduler, Kubelet, Kwok        int
	Charts                                                                  int
	Scrape, Operator, Prometheus, OAuth2Proxy, OAuth2ProxyMetrics, Upstream int
	Grafana, Loki, Alertmanager, Issuer, Exporters, ExportersTLS            int
	ExternalProxy, Tailnet                                                  int
	// LokiFaulty and AlertmanagerFaulty answer in place of the real programs while a fault is on.
	LokiGRPC, LokiGossip, LokiFaulty, AlertmanagerFaulty, NodeExporter int
	KubeStateMetrics, KubeStateTelemetry                               int
	// OAuth2ProxyInternal: where oauth2-proxy listens while a fault puts another proxy in front of it.
	OAuth2ProxyInternal int
}

// Settings of one sandbox, kept in its folder so that every command finds them.
type Settings struct {
	Name  string
	World *worlds.World
	Nodes int
	Helm  int
	Slow  bool
	// FastLogs: Loki is ready after 2 s instead of 17.
	FastLogs bool
	// ImageBandwidth is that of a node for pulls, in MB/s; 0: the start-up times of slow pods include their images.
	ImageBandwidth int
	OwnerPID       int
	Ports          Ports
	Parts          Parts
	// Charts is the folder of the chart sources.
	Charts string
	// RealCharts is a folder of real charts (.tgz) to serve instead.
	RealCharts string
	Faults     []Fault
	Canary     string
	// Token is the one of an exec plugin.
	Token string
}

// Parts are the folders of the built binaries.
type Parts struct{ Programs, Helm3, Loki, Loki37, Monitoring, Kubernetes string }

// Sandbox is a folder and its settings.
type Sandbox struct {
	Dir string
	Settings
	// faultsMutex guards Settings.Faults.
	faultsMutex sync.Mutex
}

const (
	Tailnet     = "tail1a2b.ts.net"
	IssuerHost  = "acme.eu.auth0.com"
	GroupsClaim = "https://acme.example/groups"
	ClientID    = "tailwatch-sandbox"
)

func Home() string {
	if folder := os.Getenv("TAILWATCH_SANDBOX_HOME"); folder != "" {
		return folder
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("tailwatch-sandbox-%d", os.Getuid()))
}

func (s *Sandbox) Path(parts ...string) string {
	return filepath.Join(append([]string{s.Dir}, parts...)...)
}

func (s *Sandbox) save() error {
	text, err := json.MarshalIndent(s.Settings, "", "  ")
	if err != nil {
		return err
	}
	// Renamed into place, since other processes read it at any time.
	if err := os.WriteFile(s.Path("settings.new"), text, 0o600); err != nil {
		return err
	}
	return os.Rename(s.Path("settings.new"), s.Path("settings.json"))
}

func Load(dir string) (*Sandbox, error) {
	text, err := os.ReadFile(filepath.Join(dir, "settings.json"))
	if err != nil {
		return nil, err
	}
	s := &Sandbox{Dir: dir}
	return s, json.Unmarshal(text, &s.Settings)
}

// Find gives the named sandbox, or the only one there is.
func Find(name string) (*Sandbox, error) {
	if name != "" {
		s, err := Load(filepath.Join(Home(), name))
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("there is no sandbox %s; `scripts/sandbox status` lists them", name)
		}
		return s, err
	}
	all := AllSandboxes()
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

func AllSandboxes() []*Sandbox {
	entries, _ := os.ReadDir(Home())
	all := []*Sandbox{}
	for _, entry := range entries {
		if s, err := Load(filepath.Join(Home(), entry.Name())); err == nil {
			all = append(all, s)
		}
	}
	return all
}

// Claim reserves the ports of the sandbox and saves them in its folder. A port is reserved while the folder exists, since
// many listen only after an installation, or not while a fault is on.
func (s *Sandbox) Claim() error {
	if err := os.MkdirAll(s.Path("log"), 0o700); err != nil {
		return err
	}
	lock, err := os.Open(Home())
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	taken := map[int]bool{}
	for _, other := range AllSandboxes() {
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

// freePorts picks ports below the ephemeral range, so that no outgoing connection uses one of them later.
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
		&p.Operator, &p.Prometheus, &p.OAuth2Proxy, &p.OAuth2ProxyMetrics, &p.Grafana, &p.Loki, &p.Alertmanager, &p.Issuer,
		&p.Exporters, &p.ExportersTLS, &p.Upstream, &p.ExternalProxy, &p.Tailnet, &p.OAuth2ProxyInternal,
		&p.LokiGRPC, &p.LokiGossip, &p.LokiFaulty, &p.AlertmanagerFaulty, &p.NodeExporter,
		&p.KubeStateMetrics, &p.KubeStateTelemetry}
}

func Loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// API is the address of the API server, in the family of the cluster.
func (s *Sandbox) API() string {
	if s.World.Network.IsIPv6() {
		return fmt.Sprintf("[::1]:%d", s.Ports.API)
	}
	return Loopback(s.Ports.API)
}

func (s *Sandbox) ActiveFaults() []Fault {
	s.faultsMutex.Lock()
	defer s.faultsMutex.Unlock()
	return slices.Clone(s.Faults)
}

func (s *Sandbox) SetFaults(faults []Fault) error {
	s.faultsMutex.Lock()
	defer s.faultsMutex.Unlock()
	s.Faults = faults
	return s.save()
}

func (s *Sandbox) Fault(kind string) (Fault, bool) {
	for _, fault := range s.ActiveFaults() {
		if fault.Kind == kind {
			return fault, true
		}
	}
	return Fault{}, false
}

// HelmBinary is the helm of the chosen major version.
func (s *Sandbox) HelmBinary() string {
	if s.Helm == 3 {
		return filepath.Join(s.Parts.Helm3, "helm3")
	}
	return filepath.Join(s.Parts.Programs, "helm4")
}
