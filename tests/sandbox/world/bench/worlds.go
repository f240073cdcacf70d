package main

import "slices"

const (
	namespace    = "monitoring"
	firstInstall = "first-install"
	failingImage = "failing-image"
	// unpullable is the prefix of the pods whose image cannot be pulled in the world failing-image.
	unpullable = "kube-prometheus-stack-grafana"
)

// world is what a tool does to a cluster.
type world struct {
	name string
	// upgraded are the releases that get a newer chart.
	upgraded []string
	// fromEmpty: nothing is installed before it. The other worlds follow each other on one cluster.
	fromEmpty bool
	// ours is a command of tailwatch that the other tools do not have.
	ours string
}

var worlds = []world{
	{name: firstInstall, fromEmpty: true},
	{name: "no-op"},
	{name: "status", ours: "status"},
	{name: "verify", ours: "verify"},
	{name: "upgrade-one", upgraded: []string{"alloy"}},
	{name: "upgrade-all", upgraded: releases},
	{name: failingImage, fromEmpty: true},
}

// waves of tailwatch: the releases of one are applied side by side, and the next wave begins when they are ready.
var waves = []struct {
	number   int
	releases []string
}{
	{30, []string{"kube-prometheus-stack", "oauth2-proxy"}},
	{32, []string{"loki"}},
	{33, []string{"alloy"}},
}

// releases in the order of their waves.
var releases = releasesOfWaves()

func releasesOfWaves() []string {
	var found []string
	for _, wave := range waves {
		found = append(found, wave.releases...)
	}
	return found
}

func worldNames() []string {
	var found []string
	for _, world := range worlds {
		found = append(found, world.name)
	}
	return found
}

func worldNamed(name string) world {
	return worlds[slices.IndexFunc(worlds, func(known world) bool { return known.name == name })]
}
