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
}

const (
	pollInterval = 100 * time.Millisecond
	readyTimeout = 10 * time.Minute
)

// measure runs a command until it has returned and every workload is ready.
func measure(s *sandbox, command *exec.Cmd) (figures, error) {
	helmLog, auditLog := filepath.Join(s.work, "helm.log"), filepath.Join(s.folder, "audit.log")
	_ = os.Remove(helmLog)
	from, err := os.Stat(auditLog)
	if err != nil {
		return figures{}, err
	}
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	bytesBefore, started := s.forwarder.Bytes.Load(), time.Now()
	if err := command.Start(); err != nil {
		return figures{}, err
	}
	stop, peaks := make(chan struct{}), make(chan [2]int64)
	go func() { peaks <- watchMemory(command.Process.Pid, stop) }()
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	var found figures
	var readySince time.Time
	returned := false
	for {
		select {
		case err := <-ended:
			found.Returned = time.Since(started).Seconds()
			close(stop)
			peak := <-peaks
			found.Peak, found.PeakChild = peak[0], peak[1]
			if err != nil {
				return figures{}, fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, said.String())
			}
			found.CPU = (command.ProcessState.UserTime() + command.ProcessState.SystemTime()).Seconds()
			returned = true
			continue
		case <-time.After(pollInterval):
		}
		unready, err := firstUnready(s)
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
		if returned && !readySince.IsZero() && time.Since(readySince) > time.Second {
			break
		}
		if time.Since(started) > readyTimeout {
			return figures{}, fmt.Errorf("not ready after %s: %s", readyTimeout, unready)
		}
	}
	found.Ready = max(readySince.Sub(started).Seconds(), 0)
	found.Bytes = s.forwarder.Bytes.Load() - bytesBefore
	if text, err := os.ReadFile(helmLog); err == nil {
		found.Helms = bytes.Count(text, []byte("\n"))
	}
	found.Requests, err = requests(auditLog, from.Size())
	return found, err
}

// watchMemory samples the peaks of a process and of its descendants until stop is closed.
func watchMemory(root int, stop <-chan struct{}) [2]int64 {
	var peaks [2]int64
	for {
		for pid, peak := range tree(root) {
			at := 1
			if pid == root {
				at = 0
			}
			peaks[at] = max(peaks[at], peak)
		}
		select {
		case <-stop:
			return peaks
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tree returns the peak memory of a process and its descendants in KiB.
func tree(pid int) map[int]int64 {
	found := map[int]int64{}
	pending := []int{pid}
	for len(pending) > 0 {
		pid, pending = pending[0], pending[1:]
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			var peak int64
			if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &peak); err == nil {
				found[pid] = peak
			}
		}
		// A thread lists the children that it started.
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		for _, task := range tasks {
			text, _ := os.ReadFile(task)
			for _, word := range strings.Fields(string(text)) {
				var child int
				if _, err := fmt.Sscan(word, &child); err == nil {
					pending = append(pending, child)
				}
			}
		}
	}
	return found
}

// requests counts what the tools sent since this offset of the audit log.
func requests(path string, from int64) (map[string]int, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		return nil, err
	}
	found := map[string]int{}
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return found, nil
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

type workload struct {
	Kind     string
	Metadata struct {
		Name       string
		Generation int64
	}
	Spec struct {
		Replicas *int64
	}
	Status struct {
		ObservedGeneration                                              int64
		Replicas, UpdatedReplicas, AvailableReplicas, ReadyReplicas     int64
		DesiredNumberScheduled, UpdatedNumberScheduled, NumberAvailable int64
		CurrentRevision, UpdateRevision                                 string
	}
}

// Workloads that the Prometheus operator creates: without them the stack is not complete.
var ofOperator = []string{"prometheus-", "alertmanager-"}

// firstUnready returns what is not ready yet; empty: everything is.
func firstUnready(s *sandbox) (string, error) {
	seen := map[string]bool{}
	for _, resource := range []string{"deployments", "statefulsets", "daemonsets"} {
		var list struct{ Items []workload }
		if err := s.get("/apis/apps/v1/namespaces/"+namespace+"/"+resource, &list); err != nil {
			return "", err
		}
		for _, found := range list.Items {
			for _, prefix := range ofOperator {
				seen[prefix] = seen[prefix] || strings.HasPrefix(found.Metadata.Name, prefix)
			}
			for _, release := range releases {
				seen[release] = seen[release] || strings.Contains(found.Metadata.Name, release)
			}
			if !found.isReady() {
				return resource + " " + found.Metadata.Name, nil
			}
		}
	}
	for _, wanted := range append(ofOperator, releases...) {
		if !seen[wanted] {
			return "workloads of " + wanted, nil
		}
	}
	return "", nil
}

func (w workload) isReady() bool {
	status, desired := w.Status, int64(1)
	if w.Spec.Replicas != nil {
		desired = *w.Spec.Replicas
	}
	if status.ObservedGeneration < w.Metadata.Generation {
		return false
	}
	if status.DesiredNumberScheduled > 0 {
		return status.UpdatedNumberScheduled >= status.DesiredNumberScheduled && status.NumberAvailable >= status.DesiredNumberScheduled
	}
	isNew := status.UpdatedReplicas >= desired || (status.UpdateRevision != "" && status.CurrentRevision == status.UpdateRevision)
	return isNew && status.AvailableReplicas >= desired && status.Replicas <= desired
}
