package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// waveLimit is what a wave takes at least: its slowest apply, and then its slowest chain of pods. Times are in seconds.
type waveLimit struct {
	Wave int `json:"wave"`
	// Applies are the durations of `helm upgrade --install` without waiting, run alone, by release.
	Applies map[string]float64 `json:"applies"`
	// Pods is the duration of the slowest chain of pods, from the creation of its first to the readiness of its last.
	Pods  float64  `json:"pods"`
	Chain []string `json:"chain"`
}

func (w waveLimit) slowestApply() float64 {
	slowest := 0.0
	for _, seconds := range w.Applies {
		slowest = max(slowest, seconds)
	}
	return slowest
}

func (w waveLimit) String() string {
	return fmt.Sprintf("wave %d: %.2f + %.2f s (%s)", w.Wave, w.slowestApply(), w.Pods, strings.Join(w.Chain, ", "))
}

// slowestChain gives the pods of the slowest chain and its seconds. The pods that the Prometheus operator creates follow
// the pod of the operator.
func slowestChain(pods []seenPod) ([]string, float64) {
	operator := slices.IndexFunc(pods, func(pod seenPod) bool { return strings.HasPrefix(pod.name, operatorPod) })
	var chain []string
	longest := 0.0
	for _, pod := range pods {
		// A pod that was replaced before it was ready.
		if pod.ready.IsZero() {
			continue
		}
		names, from := []string{pod.name}, pod.created
		isOfOperator := slices.ContainsFunc(ofOperator, func(prefix string) bool { return strings.HasPrefix(pod.name, prefix) })
		if isOfOperator && operator >= 0 {
			names, from = []string{pods[operator].name, pod.name}, pods[operator].created
		}
		if seconds := pod.ready.Sub(from).Seconds(); seconds > longest {
			chain, longest = names, seconds
		}
	}
	return chain, longest
}

// measureLimit applies the waves one after the other with helm alone, each when the one before it is ready.
func measureLimit(s *sandbox, values string, known charts) (figures, error) {
	pods, err := watchPods(s)
	if err != nil {
		return figures{}, err
	}
	defer pods.stop()
	var found figures
	var installed []string
	for _, wave := range waves {
		limit, began := waveLimit{Wave: wave.number, Applies: map[string]float64{}}, time.Now()
		for _, release := range wave.releases {
			started := time.Now()
			if _, err := outputOf(s.command("helm", "upgrade", "--install", release, known.of(release, worldNamed(firstInstall)),
				"-n", namespace, "-f", filepath.Join(values, release+".yaml"))); err != nil {
				return figures{}, err
			}
			limit.Applies[release] = time.Since(started).Seconds()
			installed = append(installed, release)
		}
		if err := awaitReady(s, installed); err != nil {
			return figures{}, err
		}
		limit.Chain, limit.Pods = slowestChain(pods.createdSince(began))
		found.Waves = append(found.Waves, limit)
		found.Ready += limit.slowestApply() + limit.Pods
	}
	return found, nil
}
