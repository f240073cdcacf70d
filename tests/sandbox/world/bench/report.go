package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// printTable prints the medians of each world and tool.
func printTable(to io.Writer, o options, results []result) {
	fmt.Fprintf(to, "helm %s, %d nodes, round-trip time %s, medians of %d rounds\n", o.helm, o.nodes, o.delay, o.rounds)
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "world\ttool\treturned s\tready s\tCPU s\tpeak MiB\tof a child MiB\thelm runs\trequests\tKiB\tby verb\t")
	for _, world := range o.worlds {
		for _, tool := range o.tools {
			of := slices.DeleteFunc(slices.Clone(results), func(r result) bool { return r.World != world || r.Tool != tool })
			if len(of) == 0 {
				continue
			}
			last := of[len(of)-1]
			total := 0
			var verbs []string
			for verb, count := range last.Requests {
				total += count
				verbs = append(verbs, fmt.Sprintf("%s %d", verb, count))
			}
			slices.Sort(verbs)
			fmt.Fprintf(table, "%s\t%s\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\t%d\t%d\t%d\t%s\t\n", world, tool,
				median(of, func(r result) float64 { return r.Returned }), median(of, func(r result) float64 { return r.Ready }),
				median(of, func(r result) float64 { return r.CPU }), median(of, func(r result) float64 { return float64(r.Peak) / 1024 }),
				median(of, func(r result) float64 { return float64(r.PeakChild) / 1024 }),
				last.Helms, total, last.Bytes/1024, strings.Join(verbs, ", "))
		}
	}
	_ = table.Flush()
}

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
