package images

import "testing"

func TestTheSizeIsOfTheRepository(t *testing.T) {
	for image, megabytes := range map[string]float64{
		"docker.io/grafana/grafana:12.3.0":                              210.4,
		"grafana/loki:3.5.7":                                            41.4,
		"localhost:5000/grafana/alloy:v1.11.3@sha256:0123":              109.9,
		"registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.17.0": 17.9,
		"busybox": unknown,
		"quay.io/prometheus-operator/prometheus-config-reloader:v0.86.2": 14.2,
	} {
		if found := Megabytes(image); found != megabytes {
			t.Errorf("%s: %g MB", image, found)
		}
	}
}
