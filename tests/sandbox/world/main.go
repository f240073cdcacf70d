// Command world runs a sandbox: a real control plane with simulated nodes, all on loopback, driven by scripts/sandbox.
// `world serve` is the daemon of one sandbox; the other commands send it requests.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tailwatch.dev/sandbox/world/podstages"
	"tailwatch.dev/sandbox/world/process"
	"tailwatch.dev/sandbox/world/sandbox"
	"tailwatch.dev/sandbox/world/worlds"
)

func main() {
	commands := map[string]func([]string) error{
		"up": up, "env": env, "answers": answers, "fault": fault, "status": status, "reset": reset, "down": down, "delay": delayed,
		"worlds": listWorlds, "serve": serve,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: scripts/sandbox up | env | answers | fault KIND[=TARGET] on|off | status | reset | down | delay DURATION   [--name N] | worlds")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

type list []string

func (l *list) String() string         { return strings.Join(*l, ",") }
func (l *list) Set(value string) error { *l = append(*l, value); return nil }

func up(arguments []string) error {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	name := flags.String("name", "", "name of the sandbox; random: a new one")
	world := flags.String("world", worlds.Default, "kind of cluster, see `scripts/sandbox worlds`")
	nodes := flags.Int("nodes", 0, "simulated nodes of the default world, 3 without it")
	helm := flags.Int("helm", 4, "major version of helm: 4 or 3")
	pods := flags.String("pods", "fast", "fast or slow")
	fastLogs := flags.Bool("fast-logs", false, "Loki is ready without its 15 s of waiting")
	loki37 := flags.Bool("loki-3.7", false, "serve the chart of Loki 3.7, too")
	bandwidth := flags.Int("image-bandwidth", 0, "MB/s at which a node pulls images; 0: the start-up times of slow pods include them")
	owner := flags.Int("owner-pid", 0, "end the sandbox when this process ends")
	var faults list
	flags.Var(&faults, "fault", "KIND[=TARGET] that is on from the start")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *helm != 3 && *helm != 4 {
		return errors.New("--helm is 3 or 4")
	}
	if *pods != "fast" && *pods != "slow" {
		return errors.New("--pods is fast or slow")
	}
	row, err := chooseWorld(*world, *nodes)
	if err != nil {
		return err
	}
	switch *name {
	case "":
		*name = "demo"
	case "random":
		*name = fmt.Sprintf("s%06x", rand.IntN(1<<24))
	}
	if s, err := sandbox.Load(filepath.Join(sandbox.Home(), *name)); err == nil && alive(s) {
		fmt.Fprintf(os.Stderr, "sandbox %s is already running\n", *name)
		fmt.Println(*name)
		return nil
	}
	s := &sandbox.Sandbox{Dir: filepath.Join(sandbox.Home(), *name), Settings: sandbox.Settings{
		Name: *name, World: row, Nodes: len(row.AllNodes()), Helm: *helm, Slow: *pods == "slow", FastLogs: *fastLogs, ImageBandwidth: *bandwidth, OwnerPID: *owner,
		Parts: sandbox.Parts{
			Programs: os.Getenv("TAILWATCH_PART_PROGRAMS"), Helm3: os.Getenv("TAILWATCH_PART_HELM3"),
			Loki: os.Getenv("TAILWATCH_PART_LOKI"), Monitoring: os.Getenv("TAILWATCH_PART_MONITORING"),
			Kubernetes: os.Getenv("TAILWATCH_PART_KUBERNETES"),
		},
		Charts:     os.Getenv("TAILWATCH_SANDBOX_CHARTS"),
		RealCharts: os.Getenv("TAILWATCH_SANDBOX_REAL_CHARTS"),
		Canary:     fmt.Sprintf("canary-%016x%016x", rand.Uint64(), rand.Uint64()),
		Token:      fmt.Sprintf("sandbox-%016x%016x", rand.Uint64(), rand.Uint64()),
	}}
	if *loki37 {
		s.Parts.Loki37 = os.Getenv("TAILWATCH_PART_LOKI_37")
	}
	for _, text := range faults {
		fault, err := podstages.ParseFault(text, true)
		if err != nil {
			return err
		}
		s.Faults = append(s.Faults, fault)
	}
	if err := os.RemoveAll(s.Dir); err != nil {
		return err
	}
	if err := s.Claim(); err != nil {
		return err
	}
	return startDaemon(s)
}

// chooseWorld gives the row of a world, the default one with a number of nodes if it is not 0.
func chooseWorld(name string, nodes int) (*worlds.World, error) {
	row, err := worlds.Find(name)
	if err == nil && nodes > 0 {
		if name != worlds.Default {
			return nil, fmt.Errorf("world %s has nodes of its own: use it without --nodes", name)
		}
		row.Nodes[0].Count = nodes
	}
	return row, err
}

// listWorlds prints the name and the title of the named worlds, or of all.
func listWorlds(names []string) error {
	if len(names) == 0 {
		names = worlds.Names()
	}
	for _, name := range names {
		row, err := worlds.Find(name)
		if err != nil {
			return err
		}
		fmt.Printf("%-22s %s\n", row.Name, row.Title)
	}
	return nil
}

// startDaemon runs the daemon in a session of its own and waits until the sandbox is ready.
func startDaemon(s *sandbox.Sandbox) error {
	log, err := os.Create(s.Path("log", "world.log"))
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	daemon := exec.Command(self, "serve", s.Dir)
	daemon.Stdout, daemon.Stderr = log, log
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := daemon.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }()
	limit := 3*time.Minute + time.Duration(s.Nodes)*200*time.Millisecond
	deadline := time.After(limit)
	for {
		select {
		case <-ended:
			text, _ := os.ReadFile(s.Path("log", "world.log"))
			return fmt.Errorf("sandbox %s could not start:\n%s", s.Name, process.LastLines(text))
		case <-deadline:
			_ = daemon.Process.Signal(syscall.SIGTERM)
			return fmt.Errorf("sandbox %s was not ready within %s; its logs are in %s", s.Name, limit, s.Path("log"))
		case <-time.After(50 * time.Millisecond):
		}
		if _, err := os.Stat(s.Path("ready")); err == nil {
			fmt.Println(s.Name)
			return nil
		}
	}
}

func pid(s *sandbox.Sandbox) int {
	text, _ := os.ReadFile(s.Path("pid"))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

func alive(s *sandbox.Sandbox) bool {
	response, err := call(s, http.MethodGet, "/status")
	return err == nil && response != ""
}

// call sends a request to the daemon.
func call(s *sandbox.Sandbox, method, path string) (string, error) {
	client := http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", s.Path("control.sock"))
		},
	}}
	request, err := http.NewRequest(method, "http://sandbox"+path, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("sandbox %s does not answer; `scripts/sandbox down --name %s` removes it", s.Name, s.Name)
	}
	defer response.Body.Close()
	var body bytes.Buffer
	_, _ = io.Copy(&body, response.Body)
	if response.StatusCode != http.StatusOK {
		return "", errors.New(strings.TrimSpace(body.String()))
	}
	return body.String(), nil
}

func named(command string, arguments []string) (*sandbox.Sandbox, *flag.FlagSet, error) {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	name := flags.String("name", "", "name of the sandbox")
	// Package flag stops at the first word, but flags may follow it.
	words := []string{}
	for len(arguments) > 0 {
		if err := flags.Parse(arguments); err != nil {
			return nil, nil, err
		}
		arguments = flags.Args()
		if len(arguments) > 0 {
			words = append(words, arguments[0])
			arguments = arguments[1:]
		}
	}
	_ = flags.Parse(append([]string{"--"}, words...))
	s, err := sandbox.Find(*name)
	return s, flags, err
}

func env(arguments []string) error {
	s, _, err := named("env", arguments)
	if err != nil {
		return err
	}
	pairs := [][2]string{
		{"KUBECONFIG", s.Path("kubeconfig")},
		{"TAILWATCH_SANDBOX_DIR", s.Dir},
		{"TAILWATCH_HELM", s.HelmBinary()},
		{"TAILWATCH_CHART_REPOSITORY", "http://" + sandbox.Loopback(s.Ports.Charts)},
		// Neither the stand-ins nor charts packed from their sources have the publishers' digests.
		{"TAILWATCH_CHARTS_REPACKED", "true"},
		{"TAILWATCH_CACHE", s.Path("cache")},
		{"AUTH0_CLIENT_SECRET", s.Canary},
		{"HTTPS_PROXY", "http://" + sandbox.Loopback(s.Ports.ExternalProxy)},
		{"NO_PROXY", "127.0.0.1,localhost,::1"},
		{"SSL_CERT_FILE", s.Path("pki", "ca.crt")},
		{"HELM_CACHE_HOME", s.Path("helm", "cache")},
		{"HELM_CONFIG_HOME", s.Path("helm", "config")},
		{"HELM_DATA_HOME", s.Path("helm", "data")},
	}
	if exec := s.World.Kubeconfig.Exec; exec != nil {
		pairs = append(pairs, [2]string{exec.Requires, "sandbox"})
	}
	for _, pair := range pairs {
		fmt.Printf("export %s='%s'\n", pair[0], pair[1])
	}
	fmt.Printf("export PATH='%s':\"$PATH\"\n", s.Path("bin"))
	return nil
}

func answers(arguments []string) error {
	s, _, err := named("answers", arguments)
	if err != nil {
		return err
	}
	fmt.Println(s.Path("answers.yaml"))
	return nil
}

func fault(arguments []string) error {
	s, flags, err := named("fault", arguments)
	if flags == nil {
		return err
	}
	if flags.NArg() != 2 || (flags.Arg(1) != "on" && flags.Arg(1) != "off") {
		return fmt.Errorf("usage: scripts/sandbox fault KIND[=TARGET] on|off; KIND is one of: %s", sandbox.FaultUsage())
	}
	if err != nil {
		return err
	}
	// The path of a file is relative to the folder of this command.
	fault, err := podstages.ParseFault(flags.Arg(0), flags.Arg(1) == "on")
	if err != nil {
		return err
	}
	_, err = call(s, http.MethodPost, "/fault?"+url.Values{"fault": {fault.String()}, "to": {flags.Arg(1)}}.Encode())
	return err
}

func status(arguments []string) error {
	every := sandbox.AllSandboxes()
	if len(every) == 0 {
		fmt.Fprintln(os.Stderr, "no sandbox is up")
	}
	for _, s := range every {
		text, err := call(s, http.MethodGet, "/status")
		if err != nil {
			text = "  dead: `scripts/sandbox down --name " + s.Name + "` removes it\n"
		}
		fmt.Printf("%s\n%s", s.Name, text)
	}
	return nil
}

func reset(arguments []string) error {
	s, _, err := named("reset", arguments)
	if err != nil {
		return err
	}
	_, err = call(s, http.MethodPost, "/reset")
	return err
}

func down(arguments []string) error {
	flags := flag.NewFlagSet("down", flag.ContinueOnError)
	name := flags.String("name", "", "name of the sandbox")
	all := flags.Bool("all", false, "every sandbox of this user")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	chosen := sandbox.AllSandboxes()
	if !*all {
		s, err := sandbox.Find(*name)
		if err != nil {
			return err
		}
		chosen = []*sandbox.Sandbox{s}
	}
	for _, s := range chosen {
		if err := end(s); err != nil {
			return err
		}
	}
	return nil
}

// end stops the daemon, which ends what it started, and removes the folder.
func end(s *sandbox.Sandbox) error {
	if alive(s) {
		pid := pid(s)
		_ = syscall.Kill(pid, syscall.SIGTERM)
		for range 200 {
			if syscall.Kill(pid, 0) != nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if syscall.Kill(pid, 0) == nil {
			return fmt.Errorf("sandbox %s (pid %d) does not end", s.Name, pid)
		}
	}
	return os.RemoveAll(s.Dir)
}
