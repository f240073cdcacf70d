package main

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"text/template"
)

// axis is what the x axis of a plot has.
type axis struct {
	name, label string
	x           func(size) float64
	// fixed: only results of sizes that differ by x alone are in the plot.
	fixed func(size) bool
}

func axes(o options) []axis {
	return []axis{
		{"nodes", "nodes", func(s size) float64 { return float64(s.nodes) }, func(s size) bool { return s.roundTrip == o.roundTrips[0] }},
		{"round-trip", "round-trip time, ms", func(s size) float64 { return float64(s.roundTrip.Milliseconds()) }, func(s size) bool { return s.nodes == o.nodes[0] }},
	}
}

type point struct{ x, y float64 }

// line has the medians of a tool, by x.
type line struct {
	tool   string
	points []point
}

// linesOf gives the lines of a world; none if there is only one size.
func linesOf(o options, results []result, world string, by axis) []line {
	figure := ready
	if yLabel(world) == untilReturned {
		figure = returned
	}
	var lines []line
	for _, tool := range o.tools {
		found := line{tool: tool}
		for _, size := range o.sizes() {
			of := slices.DeleteFunc(slices.Clone(results), func(r result) bool { return r.World != world || r.Tool != tool || r.size() != size || r.Failed != "" })
			if by.fixed(size) && len(of) > 0 {
				found.points = append(found.points, point{by.x(size), median(of, figure)})
			}
		}
		slices.SortFunc(found.points, func(a, b point) int { return int(a.x - b.x) })
		if len(found.points) > 1 {
			lines = append(lines, found)
		}
	}
	return lines
}

const (
	untilReady    = "seconds until every workload is ready"
	untilReturned = "seconds until the tool returned"
)

// yLabel: a command that changes no workload is done when it returns.
func yLabel(name string) string {
	if world := worldNamed(name); name == firstInstall || len(world.upgraded) > 0 {
		return untilReady
	}
	return untilReturned
}

// The drawing area, in the units of the SVG.
const left, right, top, bottom = 60.0, 560.0, 40.0, 320.0

var colours = []string{"#0072b2", "#d55e00", "#e69f00", "#009e73", "#56b4e9", "#000000"}

// scale maps values to positions: logarithmic if they differ by more than a factor of 20.
func scale(values []float64, from, to float64) func(float64) float64 {
	least, most := slices.Min(values), slices.Max(values)
	along := func(value float64) float64 { return value }
	if least > 0 && most/least > 20 {
		along = math.Log
	}
	if least == most {
		return func(float64) float64 { return from }
	}
	return func(value float64) float64 {
		return from + (to-from)*(along(value)-along(least))/(along(most)-along(least))
	}
}

// roundUp gives the next number with one or two digits that divides well.
func roundUp(value float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(value)))
	for _, factor := range []float64{1, 1.5, 2, 2.5, 3, 4, 5, 6, 8} {
		if value <= factor*power {
			return factor * power
		}
	}
	return 10 * power
}

var drawing = template.Must(template.New("plot").Parse(`<svg xmlns="http://www.w3.org/2000/svg" width="760" height="370" font-family="sans-serif" font-size="12">
<rect width="760" height="370" fill="white"/>
<text x="60" y="22" font-size="14">{{.Title}}</text>
<text x="310" y="360" text-anchor="middle">{{.X}}</text>
<path d="M60 40V320H560" fill="none" stroke="black"/>
{{- range .XTicks}}
<text x="{{.At}}" y="337" text-anchor="middle">{{.Text}}</text>{{end}}
{{- range .YTicks}}
<path d="M60 {{.At}}H560" stroke="#ddd"/><text x="54" y="{{.At}}" dy="4" text-anchor="end">{{.Text}}</text>{{end}}
{{- range $line := .Lines}}
<polyline points="{{.Points}}" fill="none" stroke="{{.Colour}}" stroke-width="2"/>
{{- range .Marks}}<circle cx="{{index . 0}}" cy="{{index . 1}}" r="3" fill="{{$line.Colour}}"/>{{end}}
<text x="572" y="{{.At}}" fill="{{.Colour}}">{{.Tool}}</text>{{end}}
</svg>
`))

type tick struct{ At, Text string }

type drawnLine struct {
	Tool, Points, Colour, At string
	Marks                    [][2]string
}

// draw gives an SVG. There is at least one line, with at least one point.
func draw(title, xLabel string, lines []line) []byte {
	var xs, ys []float64
	for _, line := range lines {
		for _, point := range line.points {
			xs, ys = append(xs, point.x), append(ys, point.y)
		}
	}
	slices.Sort(xs)
	highest := roundUp(max(slices.Max(ys), 0.001))
	x, y := scale(xs, left+20, right-20), scale([]float64{0, highest}, bottom, top)
	at := func(position float64) string { return fmt.Sprintf("%.1f", position) }
	data := struct {
		Title, X       string
		XTicks, YTicks []tick
		Lines          []drawnLine
	}{Title: title, X: xLabel}
	for _, value := range slices.Compact(xs) {
		data.XTicks = append(data.XTicks, tick{at(x(value)), fmt.Sprintf("%g", value)})
	}
	for part := range 6 {
		value := highest * float64(part) / 5
		data.YTicks = append(data.YTicks, tick{at(y(value)), fmt.Sprintf("%.4g", value)})
	}
	for i, line := range lines {
		drawn := drawnLine{Tool: line.tool, Colour: colours[i%len(colours)], At: at(top + 10 + 20*float64(i))}
		for _, point := range line.points {
			drawn.Points += at(x(point.x)) + "," + at(y(point.y)) + " "
			drawn.Marks = append(drawn.Marks, [2]string{at(x(point.x)), at(y(point.y))})
		}
		data.Lines = append(data.Lines, drawn)
	}
	var svg bytes.Buffer
	// The template has no action that can fail on these types.
	_ = drawing.Execute(&svg, data)
	return svg.Bytes()
}
