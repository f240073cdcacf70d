package loki

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tailwatch.dev/sandbox/world/backends/logql"
	"tailwatch.dev/sandbox/world/httpserver"
)

type entry struct {
	at       time.Time
	line     string
	metadata map[string]string
}

// Store is the data on Loki's volume; it is kept when the pod is replaced.
type Store struct {
	mutex   sync.Mutex
	streams map[string]*stream
	// received and discarded are counters: lines, and rejected lines by reason.
	received  int
	discarded map[string]int
}

type stream struct {
	labels  map[string]string
	entries []entry
}

// maxEntries are kept of each stream.
const maxEntries = 500

// serviceLabels are the labels from which Loki takes a stream's service_name (its limit discover_service_name), in this order.
var serviceLabels = []string{
	"service", "app", "application", "app_name", "name", "app_kubernetes_io_name", "container", "container_name", "k8s_container_name", "component", "workload", "job",
}

// receive stores a line unless it is too old. A lost line is counted and not stored.
func (s *Store) receive(labels map[string]string, entry entry, lost bool) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.received++
	if time.Since(entry.at) > 168*time.Hour {
		if s.discarded == nil {
			s.discarded = map[string]int{}
		}
		s.discarded["greater_than_max_sample_age"]++
		return fmt.Errorf("entry for stream '%v' has timestamp too old: %s", labels, entry.at.UTC().Format(time.RFC3339))
	}
	if lost {
		return nil
	}
	labels = maps.Clone(labels)
	if labels["service_name"] == "" {
		labels["service_name"] = "unknown_service"
		for _, key := range serviceLabels {
			if labels[key] != "" {
				labels["service_name"] = labels[key]
				break
			}
		}
	}
	entry.metadata = maps.Clone(entry.metadata)
	entry.metadata["detected_level"] = level(entry.line)
	if s.streams == nil {
		s.streams = map[string]*stream{}
	}
	kept := s.streams[fmt.Sprint(labels)]
	if kept == nil {
		kept = &stream{labels: labels}
		s.streams[fmt.Sprint(labels)] = kept
	}
	if slices.ContainsFunc(kept.entries, entry.isSame) {
		return nil
	}
	kept.entries = append(kept.entries, entry)
	kept.entries = kept.entries[max(0, len(kept.entries)-maxEntries):]
	return nil
}

func (s *Store) Clear() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.streams, s.received, s.discarded = nil, 0, nil
}

// isSame: of two such lines in a stream Loki keeps one.
func (e entry) isSame(other entry) bool {
	return e.at.Equal(other.at) && e.line == other.line && maps.Equal(e.metadata, other.metadata)
}

// level is the level that Loki detects by words in a line.
func level(line string) string {
	lower := strings.ToLower(line)
	for _, word := range []string{"fatal", "critical", "error", "warn", "info", "debug", "trace"} {
		if strings.Contains(lower, word) {
			return word
		}
	}
	return "unknown"
}

type foundEntry struct {
	entry
	labels map[string]string
}

func (s *Store) find(matchers logql.Selector, wanted func(entry) bool) []foundEntry {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	found := []foundEntry{}
	for _, kept := range s.streams {
		if !matchers.Match(kept.labels) {
			continue
		}
		for _, entry := range kept.entries {
			if wanted(entry) {
				found = append(found, foundEntry{entry, kept.labels})
			}
		}
	}
	return found
}

// streamsOf groups lines as a query's answer has them: structured metadata is part of the labels.
func streamsOf(found []foundEntry) []any {
	result, places := []any{}, map[string]int{}
	for _, entry := range found {
		labels := maps.Clone(entry.labels)
		maps.Copy(labels, entry.metadata)
		key := fmt.Sprint(labels)
		if _, ok := places[key]; !ok {
			places[key] = len(result)
			result = append(result, map[string]any{"stream": labels, "values": [][]string{}})
		}
		group := result[places[key]].(map[string]any)
		group["values"] = append(group["values"].([][]string), []string{strconv.FormatInt(entry.at.UnixNano(), 10), entry.line})
	}
	return result
}

func (s *Store) names() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	names := map[string]bool{}
	for _, kept := range s.streams {
		for key := range kept.labels {
			names[key] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func (s *Store) values(label string) []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	values := map[string]bool{}
	for _, kept := range s.streams {
		if value := kept.labels[label]; value != "" {
			values[value] = true
		}
	}
	return append([]string{}, slices.Sorted(maps.Keys(values))...)
}

// metrics have the names and labels of Loki 3.5; a single tenant is called fake.
func (s *Store) metrics() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	text := "# TYPE loki_build_info gauge\nloki_build_info{version=\"sandbox\"} 1\n"
	text += "# TYPE loki_ingester_memory_streams gauge\n" + httpserver.MetricLine("loki_ingester_memory_streams", len(s.streams), "tenant", "fake")
	if s.received > 0 {
		text += "# TYPE loki_distributor_lines_received_total counter\n" +
			httpserver.MetricLine("loki_distributor_lines_received_total", s.received, "aggregated_metric", "false", "policy", "", "tenant", "fake")
	}
	if len(s.discarded) > 0 {
		text += "# TYPE loki_discarded_samples_total counter\n"
	}
	for reason, count := range s.discarded {
		text += httpserver.MetricLine("loki_discarded_samples_total", count, "reason", reason, "tenant", "fake")
	}
	return text
}
