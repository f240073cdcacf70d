package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"tailwatch.dev/sandbox/world/images"
)

const limitExplained = `limit: for each wave the slowest "helm upgrade --install" of its releases, without waiting and with nothing else running, plus its
slowest chain of pods, from the creation of the first to the readiness of the last; the pods of Prometheus and Alertmanager
follow that of the operator. A tool that starts pods while it still applies can be faster.
`

// printTables prints the medians of each size, world and tool.
func printTables(to io.Writer, o options, results []result) {
	if o.imageBandwidth > 0 {
		fmt.Fprintf(to, "images: a node pulls one after the other with %d MB/s, then a container needs 1 to 4 s; sizes: %s\n", o.imageBandwidth, images.Summary())
	}
	for _, size := range o.sizes() {
		of := slices.DeleteFunc(slices.Clone(results), func(r result) bool { return r.size() != size })
		if len(of) == 0 {
			continue
		}
		fmt.Fprintf(to, "helm %s, %d nodes, round-trip time %s, medians of %d rounds\n", o.helm, size.nodes, size.roundTrip, o.rounds)
		printTable(to, o, of)
	}
}

func printTable(to io.Writer, o options, results []result) {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "world\ttool\treturned s\tready s\tCPU s\tpeak MiB\tof a child MiB\thelm runs\trequests\tKiB\tby verb\t")
	var notes strings.Builder
	for _, world := range o.worlds {
		for _, tool := range o.tools {
			of := slices.DeleteFunc(slices.Clone(results), func(r result) bool { return r.World != world || r.Tool != tool })
			failed := slices.IndexFunc(of, func(r result) bool { return r.Failed != "" })
			if failed >= 0 {
				fmt.Fprintf(&notes, "%s, %s: failed after %.2f s: %s\n", world, tool, of[failed].Returned, of[failed].Failed)
			}
			of = slices.DeleteFunc(of, func(r result) bool { return r.Failed != "" })
			if len(of) == 0 {
				continue
			}
			last := of[len(of)-1]
			if last.Waves != nil {
				fmt.Fprintf(table, "%s\t%s\t\t%.2f\t\t\t\t\t\t\t\t\n", world, tool, median(of, ready))
				fmt.Fprint(&notes, limitExplained)
				for _, wave := range last.Waves {
					fmt.Fprintf(&notes, "  %s\n", wave)
				}
				continue
			}
			isReady := fmt.Sprintf("%.2f", median(of, ready))
			if last.Failing != nil {
				isReady = ""
				fmt.Fprintf(&notes, "%s, %s: after the pod showed the failure of its image, %s, and returned after %.2f s\n", world, tool,
					namedAfter(of), median(of, func(r result) float64 { return r.Failing.Returned }))
			}
			total, verbs := last.requests()
			fmt.Fprintf(table, "%s\t%s\t%.2f\t%s\t%.2f\t%.0f\t%.0f\t%d\t%d\t%d\t%s\t\n", world, tool, median(of, returned), isReady,
				median(of, func(r result) float64 { return r.CPU }), median(of, func(r result) float64 { return float64(r.Peak) / 1024 }),
				median(of, func(r result) float64 { return float64(r.PeakChild) / 1024 }),
				last.Helms, total, last.Bytes/1024, verbs)
		}
	}
	_ = table.Flush()
	fmt.Fprint(to, notes.String())
}

func namedAfter(of []result) string {
	if slices.ContainsFunc(of, func(r result) bool { return r.Failing.Named == nil }) {
		return "it never named it"
	}
	return fmt.Sprintf("it named it after %.2f s", median(of, func(r result) float64 { return *r.Failing.Named }))
}

func (r result) size() size {
	return size{r.Nodes, time.Duration(r.RoundTripMs) * time.Millisecond}
}

// requests gives the number of all requests, and those by verb.
func (r result) requests() (int, string) {
	total := 0
	var verbs []string
	for verb, count := range r.Requests {
		total += count
		verbs = append(verbs, fmt.Sprintf("%s %d", verb, count))
	}
	slices.Sort(verbs)
	return total, strings.Join(verbs, ", ")
}

func ready(r result) float64    { return r.Ready }
func returned(r result) float64 { return r.Returned }

func median(of []result, figure func(result) float64) float64 {
	var values []float64
	for _, r := range of {
		values = append(values, figure(r))
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// writeFiles writes bench.json, and a plot of each world with more than one size.
func writeFiles(o options, results []result) error {
	text, err := json.MarshalIndent(map[string]any{"helm": o.helm, "imageBandwidth": o.imageBandwidth, "results": results}, "", "  ")
	if err != nil {
		return err
	}
	files := map[string][]byte{"bench.json": text}
	for _, axis := range axes(o) {
		for _, world := range o.worlds {
			if found := linesOf(o, results, world, axis); len(found) > 0 {
				files[world+"-by-"+axis.name+".svg"] = draw(world+": "+yLabel(world), axis.label, found)
			}
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(o.out, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
