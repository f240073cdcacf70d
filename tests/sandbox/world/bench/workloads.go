package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

type workload struct {
	Kind     string
	Metadata struct {
		Name       string
		Generation int64
	}
	Spec struct {
		Replicas *int64
	}
	Status struct {
		ObservedGeneration                                              int64
		Replicas, UpdatedReplicas, AvailableReplicas, ReadyReplicas     int64
		DesiredNumberScheduled, UpdatedNumberScheduled, NumberAvailable int64
		CurrentRevision, UpdateRevision                                 string
	}
}

// Workloads that the Prometheus operator creates: without them the stack is not complete.
var ofOperator = []string{"prometheus-", "alertmanager-"}

// operatorPod is the prefix of its own pod.
const operatorPod = "kube-prometheus-stack-operator-"

// awaitReady waits until the workloads of these releases have been ready for a second.
func awaitReady(s *sandbox, installed []string) error {
	deadline, since := time.Now().Add(readyTimeout), time.Time{}
	for {
		unready, err := firstUnready(s, installed)
		switch {
		case err != nil:
			return err
		case unready != "":
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > time.Second:
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready after %s: %s", readyTimeout, unready)
		}
		time.Sleep(pollInterval)
	}
}

// firstUnready returns what of these releases is not ready yet; empty: everything is.
func firstUnready(s *sandbox, installed []string) (string, error) {
	seen := map[string]bool{}
	for _, resource := range []string{"deployments", "statefulsets", "daemonsets"} {
		var list struct{ Items []workload }
		if err := s.get("/apis/apps/v1/namespaces/"+namespace+"/"+resource, &list); err != nil {
			return "", err
		}
		for _, found := range list.Items {
			for _, prefix := range ofOperator {
				seen[prefix] = seen[prefix] || strings.HasPrefix(found.Metadata.Name, prefix)
			}
			for _, release := range installed {
				seen[release] = seen[release] || strings.Contains(found.Metadata.Name, release)
			}
			if !found.isReady() {
				return resource + " " + found.Metadata.Name, nil
			}
		}
	}
	for _, wanted := range slices.Concat(ofOperator, installed) {
		if !seen[wanted] {
			return "workloads of " + wanted, nil
		}
	}
	return "", nil
}

func (w workload) isReady() bool {
	status, desired := w.Status, int64(1)
	if w.Spec.Replicas != nil {
		desired = *w.Spec.Replicas
	}
	if status.ObservedGeneration < w.Metadata.Generation {
		return false
	}
	if status.DesiredNumberScheduled > 0 {
		return status.UpdatedNumberScheduled >= status.DesiredNumberScheduled && status.NumberAvailable >= status.DesiredNumberScheduled
	}
	isNew := status.UpdatedReplicas >= desired || (status.UpdateRevision != "" && status.CurrentRevision == status.UpdateRevision)
	return isNew && status.AvailableReplicas >= desired && status.Replicas <= desired
}
