// Command bench compares tailwatch with a script of helm and with helmfile on one sandbox, in alternating rounds: every
// tool gets the same charts and the same durations of pods. scripts/bench builds it and sets its environment.
package main

import (
	"fmt"
	"os"
	"slices"
)

// result is one measured run.
type result struct {
	World       string `json:"world"`
	Tool        string `json:"tool"`
	Round       int    `json:"round"`
	Nodes       int    `json:"nodes"`
	RoundTripMs int64  `json:"roundTripMs"`
	figures
}

func main() {
	if err := bench(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func bench() error {
	chosen, err := parse(os.Args[1:])
	if err != nil {
		return err
	}
	// Before the runs, which take minutes.
	if err := os.MkdirAll(chosen.out, 0o755); err != nil {
		return err
	}
	results, failure := runSizes(chosen)
	// What was measured before a failure is reported, too.
	if len(results) > 0 {
		printTables(os.Stdout, chosen, results)
		if err := writeFiles(chosen, results); err != nil {
			return err
		}
	}
	return failure
}

// runSizes starts one sandbox for each number of nodes.
func runSizes(o options) ([]result, error) {
	var results []result
	var s *sandbox
	var available []tool
	nodes := 0
	defer func() { s.down() }()
	for _, size := range o.sizes() {
		if size.nodes != nodes {
			s.down()
			var err error
			if s, err = newSandbox(o, size.nodes); err != nil {
				return results, err
			}
			if available, err = newTools(s); err != nil {
				return results, err
			}
			nodes = size.nodes
		}
		if err := s.setRoundTrip(size.roundTrip); err != nil {
			return results, err
		}
		measured, err := runRounds(s, o, available)
		for i := range measured {
			measured[i].Nodes, measured[i].RoundTripMs = size.nodes, size.roundTrip.Milliseconds()
		}
		results = append(results, measured...)
		if err != nil {
			return results, fmt.Errorf("%d nodes, round-trip time %s: %w", size.nodes, size.roundTrip, err)
		}
	}
	return results, nil
}

func runRounds(s *sandbox, o options, available []tool) ([]result, error) {
	var tools []tool
	for _, name := range o.tools {
		found := slices.IndexFunc(available, func(t tool) bool { return t.name == name })
		if found < 0 {
			return nil, fmt.Errorf("no tool %s; known are %s", name, names(available))
		}
		tools = append(tools, available[found])
	}
	var results []result
	for round := range o.rounds {
		// Each round begins with another tool.
		for i := range tools {
			t := tools[(i+round)%len(tools)]
			measured, err := runTool(s, t, o.worlds, round)
			results = append(results, measured...)
			if err != nil {
				return results, fmt.Errorf("round %d, %s: %w", round+1, t.name, err)
			}
		}
	}
	return results, nil
}

// runTool measures one tool in every world that it has; another tool than ours may fail, and has no later world then.
func runTool(s *sandbox, t tool, names []string, round int) ([]result, error) {
	var results []result
	// At first the cluster has what another tool installed.
	installed := false
	for _, name := range names {
		world := worldNamed(name)
		if !t.has(world) {
			continue
		}
		if world.fromEmpty || !installed {
			if err := s.reset(); err != nil {
				return results, err
			}
			if err := t.prepare(); err != nil {
				return results, err
			}
			if !world.fromEmpty {
				if _, err := measure(s, t.command(worldNamed(firstInstall))); err != nil {
					return results, err
				}
			}
		}
		found, err := t.measure(s, world)
		if found.Failed != "" && t.name != ours {
			fmt.Fprintf(os.Stderr, "%-22s %-14s failed after %6.2f s\n", t.name, name, found.Returned)
			return append(results, result{World: name, Tool: t.name, Round: round + 1, figures: found}), nil
		}
		if err != nil {
			return results, fmt.Errorf("%s: %w", name, err)
		}
		installed = world.name != failingImage
		fmt.Fprintf(os.Stderr, "%-22s %-14s returned %6.2f s, ready %6.2f s\n", t.name, name, found.Returned, found.Ready)
		results = append(results, result{World: name, Tool: t.name, Round: round + 1, figures: found})
	}
	return results, nil
}
