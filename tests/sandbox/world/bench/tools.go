package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ours is the name of tailwatch among the tools.
const ours = "tailwatch"

// Secrets that charts refer to; tailwatch applies them itself.
var secrets = []string{"oauth2-proxy-auth0", "grafana-admin", "kube-prometheus-stack-admission"}

// tool installs the stack.
type tool struct {
	name string
	// prepare creates on an empty cluster what the tool does not create itself; its time does not count.
	prepare func() error
	command func(world) *exec.Cmd
	// limit is measured instead of a command.
	limit func() (figures, error)
}

func (t tool) has(w world) bool {
	if t.limit != nil {
		return w.name == firstInstall
	}
	return w.ours == "" || t.name == ours
}

func (t tool) measure(s *sandbox, w world) (figures, error) {
	switch {
	case t.limit != nil:
		return t.limit()
	case w.name == failingImage:
		if _, err := s.run("fault", "image-pull="+unpullable, "on"); err != nil {
			return figures{}, err
		}
		return measureFailing(s, t.command(w))
	}
	return measure(s, t.command(w))
}

func names(tools []tool) string {
	var found []string
	for _, t := range tools {
		found = append(found, t.name)
	}
	return strings.Join(found, ", ")
}

// charts are the pinned and the newest archive of each release.
type charts map[string][2]string

func (c charts) version(release string, at int) string {
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(c[release][at]), release+"-"), ".tgz")
}

func (c charts) of(release string, w world) string {
	at := 0
	if slices.Contains(w.upgraded, release) {
		at = 1
	}
	return c[release][at]
}

// newTools installs the stack once with tailwatch: the rivals get its values, its Secrets, and the same charts.
func newTools(s *sandbox) ([]tool, error) {
	answers, err := s.run("answers")
	if err != nil {
		return nil, err
	}
	if err := wrapHelm(s); err != nil {
		return nil, err
	}
	first := tailwatch(s, strings.TrimSpace(answers), nil)
	if text, err := first.command(worldNamed(firstInstall)).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("tailwatch install: %w\n%s", err, text)
	}
	known, err := readCharts(s)
	if err != nil {
		return nil, err
	}
	values := filepath.Join(s.work, "our-values")
	if err := os.Mkdir(values, 0o755); err != nil {
		return nil, err
	}
	for _, release := range releases {
		text, err := outputOf(s.command("helm", "get", "values", release, "-n", namespace, "-o", "yaml"))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(values, release+".yaml"), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	manifest, err := readSecrets(s)
	if err != nil {
		return nil, err
	}
	prepare := func() error {
		if _, err := s.kubectl("create", "namespace", namespace); err != nil {
			return err
		}
		_, err := s.kubectl("apply", "-f", manifest)
		return err
	}
	asFound := os.Getenv("BENCH_AS_FOUND")
	tools := []tool{
		tailwatch(s, strings.TrimSpace(answers), known),
		helmScript(s, "helm-as-found", asFound, known, prepare),
		helmScript(s, "helm-our-values", values, known, prepare),
		{name: "limit", prepare: prepare, limit: func() (figures, error) { return measureLimit(s, values, known) }},
	}
	if helmfile := os.Getenv("BENCH_HELMFILE"); helmfile != "" {
		tools = append(tools,
			helmfileTool(s, "helmfile-as-found", helmfile, asFound, known, prepare),
			helmfileTool(s, "helmfile-our-values", helmfile, values, known, prepare))
	}
	return tools, nil
}

// command runs in the environment of the sandbox.
func (s *sandbox) command(program string, words ...string) *exec.Cmd {
	command := exec.Command(program, words...)
	command.Env = s.environment
	if !strings.Contains(program, "/") {
		command.Path = filepath.Join(s.work, "bin", program)
		command.Err = nil
	}
	return command
}

// wrapHelm puts a helm in front that counts its starts.
func wrapHelm(s *sandbox) error {
	folder := filepath.Join(s.work, "bin")
	text := fmt.Sprintf("#!/bin/sh\necho >>'%s'\nexec '%s' \"$@\"\n", s.helmLog(), s.settings["TAILWATCH_HELM"])
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	helm := filepath.Join(folder, "helm")
	s.environment = append(s.environment, "TAILWATCH_HELM="+helm, "PATH="+folder+":"+s.settings["PATH"])
	return os.WriteFile(helm, []byte(text), 0o755)
}

func tailwatch(s *sandbox, answers string, known charts) tool {
	return tool{
		name:    ours,
		prepare: func() error { return nil },
		command: func(w world) *exec.Cmd {
			if w.ours != "" {
				return s.command(os.Getenv("BENCH_TAILWATCH"), w.ours)
			}
			words := []string{"install", "--answers", answers, "--yes", "--skip-verify", "--allow-unverified"}
			if known != nil {
				// The same archives as the others have.
				words = append(words, "--set", "charts.repository="+filepath.Dir(known.of(releases[0], w)))
			}
			for _, release := range w.upgraded {
				words = append(words, "--set", "versions."+release+"="+known.version(release, 1))
			}
			return s.command(os.Getenv("BENCH_TAILWATCH"), words...)
		},
	}
}

// helmTimeout is enough for slow machines, and helm's default where it is measured.
func helmTimeout(w world) time.Duration {
	if w.name == failingImage {
		return 5 * time.Minute
	}
	return 10 * time.Minute
}

// withCRDs has a command before the upgrade of a chart whose CRDs helm does not upgrade, as its UPGRADE.md says; empty for the others.
func withCRDs(release string, known charts, w world) string {
	if release != "kube-prometheus-stack" || !slices.Contains(w.upgraded, release) {
		return ""
	}
	return fmt.Sprintf("helm show crds '%s' | kubectl apply --server-side --force-conflicts -f -", known.of(release, w))
}

// helmScript is what a person writes: one release after the other.
func helmScript(s *sandbox, name, values string, known charts, prepare func() error) tool {
	return tool{name: name, prepare: prepare, command: func(w world) *exec.Cmd {
		var script strings.Builder
		script.WriteString("set -e\n")
		for _, release := range releases {
			fmt.Fprintln(&script, withCRDs(release, known, w))
			fmt.Fprintf(&script, "helm upgrade --install %s '%s' -n %s --wait --timeout %s -f '%s/%s.yaml'\n",
				release, known.of(release, w), namespace, helmTimeout(w), values, release)
		}
		return s.command("/bin/sh", "-c", script.String())
	}}
}

// helmfileTool has the waves of tailwatch as needs.
func helmfileTool(s *sandbox, name, helmfile, values string, known charts, prepare func() error) tool {
	needs := map[string][]string{
		"oauth2-proxy": {"kube-prometheus-stack"},
		"loki":         {"kube-prometheus-stack", "oauth2-proxy"},
		"alloy":        {"loki"},
	}
	return tool{name: name, prepare: prepare, command: func(w world) *exec.Cmd {
		var text strings.Builder
		fmt.Fprintf(&text, "helmDefaults: { wait: true, timeout: %.0f }\nreleases:\n", helmTimeout(w).Seconds())
		for _, release := range releases {
			fmt.Fprintf(&text, "- name: %s\n  namespace: %s\n  chart: %s\n  values: [%s/%s.yaml]\n  needs: [", release, namespace,
				known.of(release, w), values, release)
			for _, need := range needs[release] {
				fmt.Fprintf(&text, "%s/%s, ", namespace, need)
			}
			text.WriteString("]\n")
			if before := withCRDs(release, known, w); before != "" {
				fmt.Fprintf(&text, "  hooks: [{ events: [presync], command: /bin/sh, args: [-c, %q] }]\n", before)
			}
		}
		file := filepath.Join(s.work, name+".yaml")
		if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
			return &exec.Cmd{Err: err}
		}
		return s.command(helmfile, "--file", file, "--helm-binary", filepath.Join(s.work, "bin/helm"), "sync")
	}}
}

// readCharts finds the archives in the sandbox's repository: the installed version and the newest one.
func readCharts(s *sandbox) (charts, error) {
	text, err := outputOf(s.command("helm", "list", "-n", namespace, "-o", "json"))
	if err != nil {
		return nil, err
	}
	var listed []struct{ Name, Chart string }
	if err := json.Unmarshal([]byte(text), &listed); err != nil {
		return nil, err
	}
	found := charts{}
	for _, release := range listed {
		folder := filepath.Join(s.folder, "charts")
		pinned := filepath.Join(folder, release.Chart+".tgz")
		archives, _ := filepath.Glob(filepath.Join(folder, release.Name+"-*.tgz"))
		isVersion := regexp.MustCompile(`^` + release.Name + `-[0-9][0-9.]*\.tgz$`)
		newest := pinned
		for _, archive := range archives {
			if isVersion.MatchString(filepath.Base(archive)) && archive != pinned {
				newest = archive
			}
		}
		found[release.Name] = [2]string{pinned, newest}
	}
	if len(found) != len(releases) {
		return nil, errors.New("tailwatch did not install every release: " + text)
	}
	return found, nil
}

// readSecrets writes the Secrets of the installed stack to a file.
func readSecrets(s *sandbox) (string, error) {
	var items []map[string]any
	for _, name := range secrets {
		var found map[string]any
		if err := s.get("/api/v1/namespaces/"+namespace+"/secrets/"+name, &found); err != nil {
			return "", err
		}
		items = append(items, map[string]any{
			"apiVersion": "v1", "kind": "Secret", "type": found["type"], "data": found["data"],
			"metadata": map[string]any{"name": name, "namespace": namespace},
		})
	}
	text, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		return "", err
	}
	file := filepath.Join(s.work, "secrets.json")
	return file, os.WriteFile(file, text, 0o600)
}
