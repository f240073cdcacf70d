package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

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
