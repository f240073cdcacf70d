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
	"time"

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
	// kubeconfig names the API server itself, not the forwarder.
	kubeconfig string
}

func newSandbox(o options, nodes int) (*sandbox, error) {
	s := &sandbox{name: fmt.Sprintf("bench%d", os.Getpid()), script: os.Getenv("BENCH_SANDBOX"), settings: map[string]string{}}
	up := []string{"up", "--helm", o.helm, "--pods", "slow", "--nodes", fmt.Sprint(nodes),
		"--image-bandwidth", fmt.Sprint(o.imageBandwidth), "--owner-pid", fmt.Sprint(os.Getpid())}
	if _, err := s.run(up...); err != nil {
		return nil, err
	}
	if err := s.connect(); err != nil {
		s.down()
		return nil, err
	}
	return s, nil
}

func (s *sandbox) connect() error {
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
	if err := s.readCredentials(); err != nil {
		return err
	}
	s.settings["KUBECONFIG"] = filepath.Join(s.work, "kubeconfig")
	if err := s.setRoundTrip(0); err != nil {
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

// readCredentials reads the credentials for the bench's own requests.
func (s *sandbox) readCredentials() error {
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
	s.server, s.kubeconfig = cluster.Server, view
	return nil
}

// setRoundTrip puts a forwarder with this round-trip time in front of the API server.
func (s *sandbox) setRoundTrip(roundTrip time.Duration) error {
	address, err := url.Parse(s.server)
	if err != nil {
		return err
	}
	if s.forwarder, err = delay.Forward(address.Host, roundTrip); err != nil {
		return err
	}
	forwarded := strings.ReplaceAll(s.kubeconfig, address.Host, s.forwarder.Address())
	return os.WriteFile(s.settings["KUBECONFIG"], []byte(forwarded), 0o600)
}

func (s *sandbox) run(words ...string) (string, error) {
	return outputOf(exec.Command(s.script, append(words, "--name", s.name)...))
}

func (s *sandbox) kubectl(words ...string) (string, error) {
	command := exec.Command(filepath.Join(s.folder, "bin/kubectl"), words...)
	command.Env = append(os.Environ(), "KUBECONFIG="+s.settings["KUBECONFIG"])
	return outputOf(command)
}

func (s *sandbox) reset() error { _, err := s.run("reset"); return err }

func (s *sandbox) down() {
	if s == nil {
		return
	}
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

func outputOf(command *exec.Cmd) (string, error) {
	var stderr strings.Builder
	command.Stderr = &stderr
	text, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(command.Args, " "), err, stderr.String())
	}
	return string(text), nil
}
