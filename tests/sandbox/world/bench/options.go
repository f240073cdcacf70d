package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

type options struct {
	worlds, tools []string
	rounds        int
	nodes         []int
	roundTrips    []time.Duration
	// imageBandwidth is that of a node in MB/s; 0: the durations of pods include their images.
	imageBandwidth int
	helm, out      string
}

// size is one kind of cluster and of the way to it.
type size struct {
	nodes     int
	roundTrip time.Duration
}

// sizes are every number of nodes at the first round-trip time, and every round-trip time with the first number of nodes.
// Those of one number of nodes follow each other.
func (o options) sizes() []size {
	var found []size
	for _, roundTrip := range o.roundTrips {
		found = append(found, size{o.nodes[0], roundTrip})
	}
	for _, nodes := range o.nodes[1:] {
		found = append(found, size{nodes, o.roundTrips[0]})
	}
	return found
}

func parse(arguments []string) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	worlds := flags.String("worlds", strings.Join(worldNames(), ","), "worlds to run, in this order")
	tools := flags.String("tools", "tailwatch,helm-as-found,helm-our-values,helmfile-as-found,helmfile-our-values,limit", "tools to run")
	flags.IntVar(&o.rounds, "rounds", 1, "rounds")
	nodes := flags.String("nodes", "3", "numbers of nodes of the sandbox")
	roundTrips := flags.String("round-trip", "0", "round-trip times to the API server; those after the first only with the first number of nodes")
	flags.IntVar(&o.imageBandwidth, "image-bandwidth", 0, "MB/s at which a node pulls images; 0: the durations of pods include their images")
	flags.StringVar(&o.helm, "helm", "4", "major version of helm")
	flags.StringVar(&o.out, "out", ".", "folder for bench.json and the plots")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	o.worlds, o.tools = strings.Split(*worlds, ","), strings.Split(*tools, ",")
	for _, world := range o.worlds {
		if !slices.Contains(worldNames(), world) {
			return o, fmt.Errorf("no world %s; known are %s", world, strings.Join(worldNames(), ", "))
		}
	}
	for _, text := range strings.Split(*nodes, ",") {
		count, err := strconv.Atoi(text)
		if err != nil || count < 1 {
			return o, fmt.Errorf("--nodes: %q is not a number of nodes", text)
		}
		o.nodes = append(o.nodes, count)
	}
	for _, text := range strings.Split(*roundTrips, ",") {
		roundTrip, err := time.ParseDuration(text)
		if err != nil || roundTrip < 0 {
			return o, fmt.Errorf("--round-trip: %q is not a duration", text)
		}
		o.roundTrips = append(o.roundTrips, roundTrip)
	}
	if o.rounds < 1 {
		return o, errors.New("--rounds is at least 1")
	}
	return o, nil
}
