package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// figures of one run. Times are in seconds, memory in KiB.
type figures struct {
	// Until the command returned.
	Returned float64 `json:"returned"`
	// Until every workload of the stack was ready, those of the operator included.
	Ready float64 `json:"ready"`
	// Of the command and its children.
	CPU float64 `json:"cpu"`
	// Peak memory of the command itself, and of its largest child.
	Peak      int64 `json:"peakKiB"`
	PeakChild int64 `json:"peakChildKiB"`
	// Processes of helm.
	Helms int `json:"helms"`
	// Requests to the API server by verb, and bytes in both directions.
	Requests map[string]int `json:"requests"`
	Bytes    int64          `json:"bytes"`
	// The end of the output, if the tool failed.
	Failed string `json:"failed,omitempty"`
	// Only of the world failing-image and of the limit.
	Failing *failing    `json:"failing,omitempty"`
	Waves   []waveLimit `json:"waves,omitempty"`
}

// failing has the times since a pod showed that its image cannot be pulled. Times are in seconds.
type failing struct {
	// Until the output of the tool named it; nil: never.
	Named *float64 `json:"named"`
	// Until the tool returned.
	Returned float64 `json:"returned"`
}

const (
	pollInterval = 100 * time.Millisecond
	readyTimeout = 10 * time.Minute
)

// running is a command that is being measured.
type running struct {
	s           *sandbox
	command     *exec.Cmd
	said        output
	started     time.Time
	ended       chan error
	stopMemory  chan struct{}
	peaks       chan [2]int64
	bytesBefore int64
	auditFrom   int64
}

func start(s *sandbox, command *exec.Cmd) (*running, error) {
	r := &running{s: s, command: command, ended: make(chan error, 1), stopMemory: make(chan struct{}), peaks: make(chan [2]int64, 1)}
	_ = os.Remove(s.helmLog())
	audit, err := os.Stat(s.auditLog())
	if err != nil {
		return nil, err
	}
	command.Stdout, command.Stderr = &r.said, &r.said
	r.auditFrom, r.bytesBefore, r.started = audit.Size(), s.forwarder.Bytes.Load(), time.Now()
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() { r.peaks <- watchMemory(command.Process.Pid, r.stopMemory) }()
	go func() { r.ended <- command.Wait() }()
	return r, nil
}

// returned notes what is known once the command has ended.
func (r *running) returned() figures {
	found := figures{Returned: time.Since(r.started).Seconds()}
	close(r.stopMemory)
	peak := <-r.peaks
	found.Peak, found.PeakChild = peak[0], peak[1]
	found.CPU = (r.command.ProcessState.UserTime() + r.command.ProcessState.SystemTime()).Seconds()
	return found
}

// count adds requests, bytes and runs of helm.
func (r *running) count(found *figures) error {
	found.Bytes = r.s.forwarder.Bytes.Load() - r.bytesBefore
	if text, err := os.ReadFile(r.s.helmLog()); err == nil {
		found.Helms = bytes.Count(text, []byte("\n"))
	}
	var err error
	found.Requests, err = requestsSince(r.s.auditLog(), r.auditFrom)
	return err
}

func (r *running) describe(problem string) error {
	return fmt.Errorf("%s: %s\n%s", strings.Join(r.command.Args, " "), problem, r.said.text.String())
}

func (s *sandbox) helmLog() string  { return filepath.Join(s.work, "helm.log") }
func (s *sandbox) auditLog() string { return filepath.Join(s.folder, "audit.log") }

// measure runs a command until it has returned and every workload is ready.
func measure(s *sandbox, command *exec.Cmd) (figures, error) {
	r, err := start(s, command)
	if err != nil {
		return figures{}, err
	}
	var found figures
	var readySince time.Time
	for {
		select {
		case err := <-r.ended:
			found = r.returned()
			if err != nil {
				found.Failed = r.said.last()
				return found, r.describe(err.Error())
			}
			continue
		case <-time.After(pollInterval):
		}
		unready, err := firstUnready(s, releases)
		if err != nil {
			return figures{}, err
		}
		switch {
		case unready != "":
			readySince = time.Time{}
		case readySince.IsZero():
			readySince = time.Now()
		}
		// A change that has just been applied is seen by the controllers a moment later.
		if found.Returned > 0 && !readySince.IsZero() && time.Since(readySince) > time.Second {
			break
		}
		if time.Since(r.started) > readyTimeout {
			return figures{}, r.describe("not ready after " + readyTimeout.String() + ": " + unready)
		}
	}
	found.Ready = max(readySince.Sub(r.started).Seconds(), 0)
	return found, r.count(&found)
}

// measureFailing runs a command on a cluster with a pod whose image cannot be pulled.
func measureFailing(s *sandbox, command *exec.Cmd) (figures, error) {
	pods, err := watchPods(s)
	if err != nil {
		return figures{}, err
	}
	defer pods.stop()
	r, err := start(s, command)
	if err != nil {
		return figures{}, err
	}
	err = <-r.ended
	found := r.returned()
	shown := pods.firstFailure()
	switch {
	case err == nil:
		return figures{}, r.describe("it succeeded with a pod whose image cannot be pulled")
	case shown.IsZero():
		return figures{}, r.describe("it ended before the pod showed that its image cannot be pulled: " + err.Error())
	}
	found.Failing = &failing{Returned: r.started.Add(time.Duration(found.Returned * float64(time.Second))).Sub(shown).Seconds()}
	if !r.said.named.IsZero() {
		named := r.said.named.Sub(shown).Seconds()
		found.Failing.Named = &named
	}
	return found, r.count(&found)
}

// output keeps what a command prints, and when it first named the cause of a failed pull.
type output struct {
	text  bytes.Buffer
	named time.Time
}

// causes are the reasons of a kubelet, and those of tailwatch.
var causes = []string{"ErrImagePull", "ImagePullBackOff", "image-not-found", "does not exist in its registry"}

func (o *output) Write(text []byte) (int, error) {
	// A word may be split between two writes.
	seen := max(o.text.Len()-100, 0)
	o.text.Write(text)
	for _, cause := range causes {
		if o.named.IsZero() && bytes.Contains(o.text.Bytes()[seen:], []byte(cause)) {
			o.named = time.Now()
		}
	}
	return len(text), nil
}

// longest is the number of characters of a reason in the tables.
const longest = 400

// last is the last line with an error, or else the last line.
func (o *output) last() string {
	var last, problem string
	for line := range strings.Lines(o.text.String()) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		last = line
		if strings.HasPrefix(strings.ToLower(line), "error:") {
			problem = line
		}
	}
	if problem != "" {
		last = problem
	}
	return last[:min(len(last), longest)]
}

// requestsSince counts what the tools sent since this offset of the audit log.
func requestsSince(path string, from int64) (map[string]int, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		return nil, err
	}
	return requestsIn(file), nil
}

// requestsIn counts the requests of the tools by verb.
func requestsIn(log io.Reader) map[string]int {
	found := map[string]int{}
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return found
		}
		var event struct {
			Stage, Verb, UserAgent string
		}
		if json.Unmarshal(line, &event) != nil || event.Stage == "ResponseStarted" {
			continue
		}
		agent := strings.ToLower(event.UserAgent)
		if strings.HasPrefix(agent, "tailwatch") || strings.HasPrefix(agent, "helm") {
			found[event.Verb]++
		}
	}
}
