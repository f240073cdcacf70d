// Package worlds has the kinds of clusters that a sandbox can look like. Each is one row: a file of the folder `rows`, named
// after the world.
package worlds

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	"sigs.k8s.io/yaml"
)

//go:embed rows/*.yaml
var rows embed.FS

// World is one row. Without a value a sandbox has that of the world `default`.
type World struct {
	Name           string                 `json:"name,omitempty"`
	Title          string                 `json:"title"`
	Nodes          []NodeRow              `json:"nodes"`
	Network        Network                `json:"network"`
	StorageClasses []storage.StorageClass `json:"storageClasses"`
	APIServer      APIServer              `json:"apiServer"`
	Kubeconfig     Kubeconfig             `json:"kubeconfig"`
	// Objects are created before anything is installed, in their order.
	Objects []json.RawMessage `json:"objects"`
	Run     Run               `json:"run"`
}

// NodeRow is one node, or several that differ by their number only.
type NodeRow struct {
	// Name; {n} is the node's number in the row, from 0.
	Name   string            `json:"name"`
	Count  int               `json:"count"`
	Labels map[string]string `json:"labels"`
	Taints []core.Taint      `json:"taints"`
	OS     string            `json:"os"`
	Arch   string            `json:"arch"`
	// Runtime and Kubelet are the versions that the node reports.
	Runtime  string `json:"runtime"`
	Kubelet  string `json:"kubelet"`
	Cordoned bool   `json:"cordoned"`
	NotReady bool   `json:"notReady"`
	// PodsDoNotStart: the runtime cannot create the sandbox of a pod.
	PodsDoNotStart bool `json:"podsDoNotStart"`
}

// Network has the ranges of addresses; their family is that of the cluster.
type Network struct {
	Nodes    string `json:"nodes"`
	Pods     string `json:"pods"`
	Services string `json:"services"`
}

// APIServer has what the API server is started with.
type APIServer struct {
	Flags []string `json:"flags"`
	// Admission are the plugins of its AdmissionConfiguration.
	Admission []json.RawMessage `json:"admission"`
}

// Kubeconfig is the shape of the user's kubeconfig.
type Kubeconfig struct {
	// Context is its name; sandbox-NAME without it.
	Context string `json:"context"`
	Exec    *Exec  `json:"exec"`
}

// Exec is a plugin that gives a token if an environment variable is set.
type Exec struct {
	Command   string   `json:"command"`
	Arguments []string `json:"arguments"`
	Requires  string   `json:"requires"`
	// Failure is what the plugin prints without the variable.
	Failure string `json:"failure"`
}

// Run is how scripts/worlds runs the world; tests/worlds/main.rs documents the keys and reads them.
type Run struct {
	InSuite   bool              `json:"inSuite"`
	Answers   map[string]any    `json:"answers"`
	Without   map[string]string `json:"without"`
	Checks    map[string]string `json:"checks"`
	Notices   []string          `json:"notices"`
	Contains  map[string]string `json:"contains"`
	Diagnoses []string          `json:"diagnoses"`
	ExitCodes map[string]int    `json:"exitCodes"`
}

// Names of all worlds but `default`, in alphabetical order.
func Names() []string {
	entries, _ := fs.ReadDir(rows, "rows")
	names := []string{}
	for _, entry := range entries {
		if name := strings.TrimSuffix(entry.Name(), ".yaml"); name != Default {
			names = append(names, name)
		}
	}
	return names
}

// Default is the world of a sandbox for which none is named.
const Default = "default"

// Find reads a row; the error of an unknown name has the nearest one and all of them.
func Find(name string) (*World, error) {
	text, err := rows.ReadFile(path.Join("rows", name+".yaml"))
	if err != nil {
		names := Names()
		hint := ""
		if near := nearest(name, names); near != "" {
			hint = fmt.Sprintf("did you mean %s? ", near)
		}
		return nil, fmt.Errorf("there is no world %q; %sthe worlds are: %s", name, hint, strings.Join(names, ", "))
	}
	standard, err := rows.ReadFile(path.Join("rows", Default+".yaml"))
	if err != nil {
		return nil, err
	}
	return parse(name, standard, text)
}

// parse reads a row, with the values of another for its missing keys.
func parse(name string, standard, text []byte) (*World, error) {
	world := &World{}
	if err := yaml.Unmarshal(standard, world); err != nil {
		return nil, fmt.Errorf("world %s: %w", Default, err)
	}
	own := &World{}
	if err := yaml.UnmarshalStrict(text, own); err != nil {
		return nil, fmt.Errorf("world %s: %w", name, err)
	}
	if len(own.StorageClasses) == 0 {
		own.StorageClasses = world.StorageClasses
	}
	if own.Network == (Network{}) {
		own.Network = world.Network
	}
	world = own
	world.Name = name
	if err := world.Network.check(); err != nil {
		return nil, fmt.Errorf("world %s: %w", name, err)
	}
	if len(world.Nodes) == 0 {
		return nil, fmt.Errorf("world %s: it has no nodes", name)
	}
	seen := map[string]bool{}
	for _, node := range world.AllNodes() {
		if node.Name == "" || seen[node.Name] {
			return nil, fmt.Errorf("world %s: a second node is called %q", name, node.Name)
		}
		seen[node.Name] = true
	}
	return world, nil
}

// AllNodes gives one row for each node.
func (w *World) AllNodes() []NodeRow {
	nodes := []NodeRow{}
	for _, row := range w.Nodes {
		for number := range max(row.Count, 1) {
			node := row
			node.Name = strings.ReplaceAll(row.Name, "{n}", fmt.Sprint(number))
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// nearest is the name with the fewest changed letters, if more than half of the letters are right.
func nearest(name string, names []string) string {
	nearest, fewest := "", len(name)
	for _, known := range names {
		changes := distance(strings.ToLower(name), known)
		if strings.HasPrefix(known, name) && name != "" {
			changes = min(changes, 1)
		}
		if changes < fewest && 2*changes <= max(len(name), len(known)) {
			nearest, fewest = known, changes
		}
	}
	return nearest
}

// distance of Levenshtein.
func distance(a, b string) int {
	before := make([]int, len(b)+1)
	for column := range before {
		before[column] = column
	}
	for row := range len(a) {
		now := slices.Clone(before)
		now[0] = row + 1
		for column := range len(b) {
			cost := 1
			if a[row] == b[column] {
				cost = 0
			}
			now[column+1] = min(before[column]+cost, before[column+1]+1, now[column]+1)
		}
		before = now
	}
	return before[len(b)]
}
