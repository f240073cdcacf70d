// Package charts serves the chart repository of a sandbox.
package charts

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"tailwatch.dev/sandbox/world/sandbox"
)

type chartArchive struct {
	Name, Version string
	metadata      map[string]any
	archive       []byte
}

// Serve is the sandbox's chart repository: an index and archives over HTTP, and the same archives in the folder
// `charts`. Packing is deterministic, so the same source always has the same digest.
func Serve(s *sandbox.Sandbox) error {
	charts, err := collectCharts(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.Path("charts"), 0o700); err != nil {
		return err
	}
	archives := map[string]chartArchive{}
	entries := map[string][]map[string]any{}
	for _, chart := range charts {
		file := fmt.Sprintf("%s-%s.tgz", chart.Name, chart.Version)
		if err := os.WriteFile(s.Path("charts", file), chart.archive, 0o600); err != nil {
			return err
		}
		archives["/"+file] = chart
		digest := sha256.Sum256(chart.archive)
		entry := map[string]any{}
		for key, value := range chart.metadata {
			entry[key] = value
		}
		entry["digest"] = hex.EncodeToString(digest[:])
		entry["urls"] = []string{file}
		entry["created"] = "2026-01-01T00:00:00Z"
		entries[chart.Name] = append(entries[chart.Name], entry)
	}
	index, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "generated": "2026-01-01T00:00:00Z", "entries": entries})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", sandbox.Loopback(s.Ports.Charts))
	if err != nil {
		return err
	}
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
			if request.URL.Path == "/index.yaml" {
				_, _ = answer.Write(index)
			} else if chart, ok := archives[request.URL.Path]; ok {
				_, _ = answer.Write(chart.archive)
			} else {
				http.NotFound(answer, request)
			}
		}))
	}()
	return nil
}

func collectCharts(s *sandbox.Sandbox) ([]chartArchive, error) {
	if s.RealCharts != "" {
		return realCharts(s.RealCharts)
	}
	sources, err := filepath.Glob(filepath.Join(s.Charts, "*", "*", "Chart.yaml"))
	if err != nil || len(sources) == 0 {
		return nil, fmt.Errorf("there are no charts in %s", s.Charts)
	}
	charts := []chartArchive{}
	for _, source := range sources {
		// Its Loki is built only for --loki-3.7.
		if strings.HasSuffix(source, filepath.Join("loki", "18.11.0", "Chart.yaml")) && s.Parts.Loki37 == "" {
			continue
		}
		chart, err := pack(filepath.Dir(source))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
		charts = append(charts, chart)
	}
	return charts, nil
}

func describeChart(text []byte, archive []byte) (chartArchive, error) {
	metadata := map[string]any{}
	if err := yaml.Unmarshal(text, &metadata); err != nil {
		return chartArchive{}, err
	}
	name, _ := metadata["name"].(string)
	version, _ := metadata["version"].(string)
	return chartArchive{Name: name, Version: version, metadata: metadata, archive: archive}, nil
}

func pack(folder string) (chartArchive, error) {
	text, err := os.ReadFile(filepath.Join(folder, "Chart.yaml"))
	if err != nil {
		return chartArchive{}, err
	}
	chart, err := describeChart(text, nil)
	if err != nil {
		return chartArchive{}, err
	}
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zipped)
	add := func(file string, content []byte) error {
		header := &tar.Header{Name: path.Join(chart.Name, file), Mode: 0o644, Size: int64(len(content)), ModTime: time.Unix(1767225600, 0), Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err := archive.Write(content)
		return err
	}
	// Chart.yaml first: helm reads it before anything else.
	if err := add("Chart.yaml", text); err != nil {
		return chartArchive{}, err
	}
	files, err := layered(filepath.Join(filepath.Dir(folder), "common"), folder)
	if err != nil {
		return chartArchive{}, err
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if file == "Chart.yaml" {
			continue
		}
		content, err := os.ReadFile(files[file])
		if err != nil {
			return chartArchive{}, err
		}
		if err := add(file, content); err != nil {
			return chartArchive{}, err
		}
	}
	if err := archive.Close(); err != nil {
		return chartArchive{}, err
	}
	if err := zipped.Close(); err != nil {
		return chartArchive{}, err
	}
	chart.archive = packed.Bytes()
	return chart, nil
}

// layered gives the path of each file by its path in the chart: a file of the version replaces the common one.
func layered(folders ...string) (map[string]string, error) {
	files := map[string]string{}
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			place, err := filepath.Rel(folder, file)
			files[filepath.ToSlash(place)] = file
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// realCharts serves a folder of archives unchanged.
func realCharts(folder string) ([]chartArchive, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.tgz"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("there are no .tgz files in %s", folder)
	}
	charts := []chartArchive{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		text, err := chartYAML(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		chart, err := describeChart(text, content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		charts = append(charts, chart)
	}
	return charts, nil
}

func chartYAML(content []byte) ([]byte, error) {
	zipped, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	archive := tar.NewReader(zipped)
	for {
		header, err := archive.Next()
		if err != nil {
			return nil, fmt.Errorf("has no Chart.yaml: %w", err)
		}
		if strings.Count(header.Name, "/") == 1 && path.Base(header.Name) == "Chart.yaml" {
			return io.ReadAll(archive)
		}
	}
}
