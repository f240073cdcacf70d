package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"tailwatch.dev/sandbox/world/delay"
)

// sandbox is a running sandbox, its API server behind the forwarder of the bench.
type sandbox struct {
	name, script, folder, work string
	environment                []string
	settings                   map[string]string
	forwarder                  *delay.Forwarder
	client                     *http.Client
	server                     string
}

func newSandbox(o options) (*sandbox, error) {
	s := &sandbox{name: fmt.Sprintf("bench%d", os.Getpid()), script: os.Getenv("BENCH_SANDBOX"), settings: map[string]string{}}
	up := []string{"up", "--helm", o.helm, "--pods", "slow", "--nodes", fmt.Sprint(o.nodes), "--owner-pid", fmt.Sprint(os.Getpid())}
	if _, err := s.run(up...); err != nil {
		return nil, err
	}
	if err := s.connect(o); err != nil {
		s.down()
		return nil, err
	}
	return s, nil
}

func (s *sandbox) connect(o options) error {
	text, err := s.run("env")
	if err != nil {
		return err
	}
	// The shell that would evaluate them knows their quotes.
	script := text + "\nfor name in " + strings.Join(exported(text), " ") + `; do printf '%s=%s\0' "$name" "${!name}"; done`
	values, err := exec.Command("bash", "-c", script).Output()
	if err != nil {
		return fmt.Errorf("cannot read the environment of the sandbox: %w", err)
	}
	for _, pair := range strings.Split(strings.TrimRight(string(values), "\x00"), "\x00") {
		name, value, _ := strings.Cut(pair, "=")
		s.settings[name] = value
	}
	s.folder = s.settings["TAILWATCH_SANDBOX_DIR"]
	if s.work, err = os.MkdirTemp("", "tailwatch-bench-"); err != nil {
		return err
	}
	if err := s.forward(o); err != nil {
		return err
	}
	s.environment = append(os.Environ(), "HOME="+s.work)
	for name, value := range s.settings {
		s.environment = append(s.environment, name+"="+value)
	}
	return nil
}

func exported(text string) []string {
	var names []string
	for _, line := range strings.Split(text, "\n") {
		if rest, ok := strings.CutPrefix(line, "export "); ok {
			name, _, _ := strings.Cut(rest, "=")
			names = append(names, name)
		}
	}
	return names
}

// forward puts the forwarder in front of the API server, and reads the credentials for the bench's own requests.
func (s *sandbox) forward(o options) error {
	view, err := s.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json")
	if err != nil {
		return err
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server string `json:"server"`
				CA     string `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Certificate string `json:"client-certificate-data"`
				Key         string `json:"client-key-data"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := json.Unmarshal([]byte(view), &config); err != nil {
		return err
	}
	cluster, user := config.Clusters[0].Cluster, config.Users[0].User
	decode := func(text string) []byte { bytes, _ := base64.StdEncoding.DecodeString(text); return bytes }
	pair, err := tls.X509KeyPair(decode(user.Certificate), decode(user.Key))
	if err != nil {
		return fmt.Errorf("the kubeconfig of the sandbox has no client certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(decode(cluster.CA))
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}}
	s.server = cluster.Server
	address, err := url.Parse(cluster.Server)
	if err != nil {
		return err
	}
	if s.forwarder, err = delay.Forward(address.Host, o.delay); err != nil {
		return err
	}
	kubeconfig := filepath.Join(s.work, "kubeconfig")
	forwarded := strings.ReplaceAll(view, address.Host, s.forwarder.Address())
	if err := os.WriteFile(kubeconfig, []byte(forwarded), 0o600); err != nil {
		return err
	}
	s.settings["KUBECONFIG"] = kubeconfig
	return nil
}

func (s *sandbox) run(words ...string) (string, error) {
	return output(exec.Command(s.script, append(words, "--name", s.name)...))
}

func (s *sandbox) kubectl(words ...string) (string, error) {
	command := exec.Command(filepath.Join(s.folder, "bin/kubectl"), words...)
	command.Env = append(os.Environ(), "KUBECONFIG="+s.settings["KUBECONFIG"])
	return output(command)
}

func (s *sandbox) reset() error { _, err := s.run("reset"); return err }

func (s *sandbox) down() {
	_, _ = s.run("down")
	_ = os.RemoveAll(s.work)
}

// get reads a path of the API server, without the forwarder.
func (s *sandbox) get(path string, into any) error {
	answer, err := s.client.Get(s.server + path)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

func output(command *exec.Cmd) (string, error) {
	var stderr strings.Builder
	command.Stderr = &stderr
	text, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(command.Args, " "), err, stderr.String())
	}
	return string(text), nil
}
