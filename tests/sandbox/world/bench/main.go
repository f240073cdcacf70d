// Command bench compares tailwatch with a script of helm and with helmfile on one sandbox, in alternating rounds: every
// tool gets the same charts and the same durations of pods. scripts/bench builds it and sets its environment.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// result is one measured run.
type result struct {
	World string `json:"world"`
	Tool  string `json:"tool"`
	Round int    `json:"round"`
	figures
}

type options struct {
	worlds, tools []string
	rounds, nodes int
	helm, out     string
	delay         time.Duration
}

func main() {
	if err := bench(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func bench() error {
	chosen, err := parse()
	if err != nil {
		return err
	}
	// Before the runs, which take minutes.
	if err := os.MkdirAll(chosen.out, 0o755); err != nil {
		return err
	}
	s, err := newSandbox(chosen)
	if err != nil {
		return err
	}
	defer s.down()
	available, err := newTools(s)
	if err != nil {
		return err
	}
	var tools []tool
	for _, name := range chosen.tools {
		found := slices.IndexFunc(available, func(t tool) bool { return t.name == name })
		if found < 0 {
			return fmt.Errorf("no tool %s; known are %s", name, names(available))
		}
		tools = append(tools, available[found])
	}
	var results []result
	for round := range chosen.rounds {
		// Each round begins with another tool.
		for i := range tools {
			t := tools[(i+round)%len(tools)]
			measured, err := runTool(s, t, chosen.worlds, round)
			if err != nil {
				return fmt.Errorf("round %d, %s: %w", round+1, t.name, err)
			}
			results = append(results, measured...)
		}
	}
	printTable(os.Stdout, chosen, results)
	text, err := json.MarshalIndent(map[string]any{
		"helm": chosen.helm, "nodes": chosen.nodes, "roundTripMs": chosen.delay.Milliseconds(), "results": results,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(chosen.out, "bench.json"), text, 0o644)
}

func parse() (options, error) {
	o := options{}
	worlds := flag.String("worlds", strings.Join(worldNames(), ","), "worlds to run, in this order")
	tools := flag.String("tools", "tailwatch,helm-as-found,helm-our-values,helmfile-as-found,helmfile-our-values", "tools to run")
	flag.IntVar(&o.rounds, "rounds", 1, "rounds")
	flag.IntVar(&o.nodes, "nodes", 3, "nodes of the sandbox")
	flag.StringVar(&o.helm, "helm", "4", "major version of helm")
	flag.StringVar(&o.out, "out", ".", "folder for bench.json")
	flag.DurationVar(&o.delay, "round-trip", 0, "round-trip time to the API server")
	flag.Parse()
	o.worlds, o.tools = strings.Split(*worlds, ","), strings.Split(*tools, ",")
	for _, world := range o.worlds {
		if !slices.Contains(worldNames(), world) {
			return o, fmt.Errorf("no world %s; known are %s", world, strings.Join(worldNames(), ", "))
		}
	}
	return o, nil
}

// runTool measures one tool in every world, on an empty cluster at first.
func runTool(s *sandbox, t tool, worlds []string, round int) ([]result, error) {
	if err := s.reset(); err != nil {
		return nil, err
	}
	if err := t.prepare(); err != nil {
		return nil, err
	}
	var results []result
	installed := false
	for _, world := range worlds {
		if world != firstInstall && !installed {
			if _, err := measure(s, t.command(firstInstall)); err != nil {
				return nil, err
			}
		}
		installed = true
		found, err := measure(s, t.command(world))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", world, err)
		}
		fmt.Fprintf(os.Stderr, "%-22s %-14s returned %6.2f s, ready %6.2f s\n", t.name, world, found.Returned, found.Ready)
		results = append(results, result{World: world, Tool: t.name, Round: round + 1, figures: found})
	}
	return results, nil
}
