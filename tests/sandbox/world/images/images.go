// Package images has the compressed sizes of the stack's images, for pods that take the time of their pulls.
package images

import (
	_ "embed"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

//go:embed images.yaml
var rows []byte

type row struct {
	Repository string  `json:"repository"`
	Megabytes  float64 `json:"megabytes"`
	Source     string  `json:"source"`
}

// unknown is the estimate for an image without a row, in MB.
const unknown = 20

var known = read()

func read() []row {
	var known []row
	if err := yaml.UnmarshalStrict(rows, &known); err != nil {
		panic(err)
	}
	return known
}

// Megabytes is the compressed size of an image, by its repository without the registry.
func Megabytes(image string) float64 {
	for _, row := range known {
		if row.Repository == repository(image) {
			return row.Megabytes
		}
	}
	return unknown
}

func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		image = image[:colon]
	}
	if host, path, found := strings.Cut(image, "/"); found && strings.ContainsAny(host, ".:") {
		image = path
	}
	return image
}

// Summary says what the sizes are.
func Summary() string {
	total, estimates := 0.0, 0
	for _, row := range known {
		total += row.Megabytes
		if row.Source == "estimate" {
			estimates++
		}
	}
	return fmt.Sprintf("%.0f MB for %d images, %d of them estimated, and an estimate of %d MB for any other (images.yaml)", total, len(known), estimates, unknown)
}
