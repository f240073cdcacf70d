package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheFirstNumberOfNodesHasEveryRoundTripTime(t *testing.T) {
	o, err := parse([]string{"--nodes", "3,100,1000", "--round-trip", "0,50ms"})
	if err != nil {
		t.Fatal(err)
	}
	slow := 50 * time.Millisecond
	if wanted := []size{{3, 0}, {3, slow}, {100, 0}, {1000, 0}}; !slices.Equal(o.sizes(), wanted) {
		t.Errorf("%v", o.sizes())
	}
}

func TestWrongOptionsAreRejected(t *testing.T) {
	for _, words := range [][]string{{"--nodes", "3,"}, {"--nodes", "0"}, {"--round-trip", "50"}, {"--round-trip", "-1ms"}, {"--worlds", "noop"}, {"--rounds", "0"}} {
		if _, err := parse(words); err == nil {
			t.Errorf("%v: no error", words)
		}
	}
}

func at(seconds float64) time.Time {
	return time.Unix(1700000000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

func TestTheChainOfTheOperatorsPodsBeginsWithThatOfTheOperator(t *testing.T) {
	operator := seenPod{name: "kube-prometheus-stack-operator-7d-x", created: at(1), ready: at(9)}
	prometheus := seenPod{name: "prometheus-kube-prometheus-stack-prometheus-0", created: at(10), ready: at(20)}
	grafana := seenPod{name: "kube-prometheus-stack-grafana-1", created: at(0), ready: at(14.5)}
	replaced := seenPod{name: "kube-prometheus-stack-grafana-0", created: at(0)}
	for _, row := range []struct {
		pods    []seenPod
		chain   []string
		seconds float64
	}{
		{[]seenPod{grafana, prometheus, operator, replaced}, []string{operator.name, prometheus.name}, 19},
		{[]seenPod{prometheus, grafana}, []string{grafana.name}, 14.5},
		{nil, nil, 0},
	} {
		if chain, seconds := slowestChain(row.pods); !slices.Equal(chain, row.chain) || seconds != row.seconds {
			t.Errorf("%v, %g s", chain, seconds)
		}
	}
}

func TestAWaveTakesItsSlowestApplyAndItsPods(t *testing.T) {
	limit := waveLimit{Wave: 30, Applies: map[string]float64{"loki": 1.5, "alloy": 4}, Pods: 12, Chain: []string{"loki-0"}}
	if text := limit.String(); text != "wave 30: 4.00 + 12.00 s (loki-0)" {
		t.Error(text)
	}
}

func TestAFailureOfAnotherToolIsReported(t *testing.T) {
	said := output{}
	_, _ = said.Write([]byte("ERROR:\n  exit status 1\n  Error: UPGRADE FAILED: no CRD\nCOMBINED OUTPUT:\n\n"))
	failed := result{World: "upgrade-all", Tool: "helmfile", figures: figures{Returned: 24, Failed: said.last()}}
	o := options{worlds: []string{"upgrade-all"}, tools: []string{"helmfile"}}
	for _, results := range [][]result{{failed}, {failed, {World: "upgrade-all", Tool: "helmfile", figures: figures{Returned: 50, Ready: 51}}}} {
		var text strings.Builder
		printTable(&text, o, results)
		if !strings.Contains(text.String(), "upgrade-all, helmfile: failed after 24.00 s: Error: UPGRADE FAILED: no CRD\n") {
			t.Error(text.String())
		}
		if shown := strings.Contains(text.String(), "50.00"); shown != (len(results) == 2) {
			t.Error(text.String())
		}
	}
	if said := (&output{}); said.last() != "" {
		t.Error(said.last())
	}
}

func TestTheFirstStateOfAPodCounts(t *testing.T) {
	w := &podWatch{pods: map[string]*seenPod{}}
	event := podEvent{}
	event.Object.Metadata.Name = "grafana-0"
	w.note(event, at(0))
	event.Object.Status.InitContainerStatuses = make([]containerStatus, 1)
	for seconds, reason := range []string{"PodInitializing", "ErrImagePull", "ImagePullBackOff"} {
		event.Object.Status.InitContainerStatuses[0].State.Waiting.Reason = reason
		w.note(event, at(float64(seconds+1)))
	}
	event.Object.Status.Conditions = []struct{ Type, Status string }{{"Ready", "True"}}
	w.note(event, at(5))
	w.note(event, at(6))
	if pods := w.createdSince(at(0)); len(pods) != 1 || pods[0] != (seenPod{"grafana-0", at(0), at(5), at(2)}) {
		t.Errorf("%+v", pods)
	}
	if w.firstFailure() != at(2) || len(w.createdSince(at(1))) != 0 {
		t.Errorf("%s", w.firstFailure())
	}
}

func TestACauseIsFoundAcrossWrites(t *testing.T) {
	var said output
	_, _ = said.Write([]byte("grafana: blocked: image-not-"))
	if !said.named.IsZero() {
		t.Error("named by a part of the word")
	}
	_, _ = said.Write([]byte("found: image"))
	first := said.named
	_, _ = said.Write([]byte(" ErrImagePull"))
	if first.IsZero() || said.named != first {
		t.Errorf("%s, then %s", first, said.named)
	}
}

func TestOnlyFinishedRequestsOfTheToolsCount(t *testing.T) {
	log := `{"stage":"ResponseComplete","verb":"get","userAgent":"Helm/4.2.0"}
{"stage":"ResponseStarted","verb":"watch","userAgent":"tailwatch/0.1"}
{"stage":"ResponseComplete","verb":"watch","userAgent":"tailwatch/0.1"}
{"stage":"ResponseComplete","verb":"get","userAgent":"kubectl/v1.36.1"}
not JSON
{"stage":"ResponseComplete","verb":"get","userAgent":"tailwatch/0.1"}
`
	if found := requestsIn(strings.NewReader(log)); !reflect.DeepEqual(found, map[string]int{"get": 2, "watch": 1}) {
		t.Errorf("%v", found)
	}
}

// measured gives results of tailwatch: two rounds for each size, with these seconds and one more.
func measured(seconds map[size]float64) []result {
	var results []result
	for size, value := range seconds {
		for round := range 2 {
			f := figures{Ready: value + float64(round), Returned: 100}
			results = append(results, result{World: firstInstall, Tool: ours, Round: round, Nodes: size.nodes, RoundTripMs: size.roundTrip.Milliseconds(), figures: f})
		}
	}
	return results
}

func TestAPlotHasTheMediansOfSizesThatDifferByItsAxisOnly(t *testing.T) {
	o, _ := parse([]string{"--nodes", "100,3", "--round-trip", "0,50ms"})
	results := measured(map[size]float64{{100, 0}: 60, {3, 0}: 40, {100, 50 * time.Millisecond}: 80})
	for i, wanted := range [][]point{{{3, 40.5}, {100, 60.5}}, {{0, 60.5}, {50, 80.5}}} {
		lines := linesOf(o, results, firstInstall, axes(o)[i])
		if len(lines) != 1 || lines[0].tool != ours || !slices.Equal(lines[0].points, wanted) {
			t.Errorf("%s: %v", axes(o)[i].name, lines)
		}
	}
	if lines := linesOf(o, results, "no-op", axes(o)[0]); lines != nil {
		t.Errorf("%v", lines)
	}
}

func TestFactorsAboveTwentyAreLogarithmic(t *testing.T) {
	x := scale([]float64{1, 1000}, 0, 300)
	y := scale([]float64{0, 10}, 300, 100)
	for _, row := range [][2]float64{{x(10), 100}, {x(1000), 300}, {y(5), 200}, {scale([]float64{7}, 5, 9)(7), 5}} {
		if difference := row[0] - row[1]; difference < -0.01 || difference > 0.01 {
			t.Errorf("%g instead of %g", row[0], row[1])
		}
	}
	for value, wanted := range map[float64]float64{0.3: 0.3, 1: 1, 61: 80, 110: 150, 900: 1000} {
		if found := roundUp(value); found < wanted*0.999 || found > wanted*1.001 {
			t.Errorf("%g: %g instead of %g", value, found, wanted)
		}
	}
}

func TestAPlotIsAnSVGWithEveryLine(t *testing.T) {
	svg := string(draw("title", "nodes", []line{{"tailwatch", []point{{3, 40}, {100, 80}}}, {"limit", []point{{3, 35}, {100, 50}}}}))
	for _, part := range []string{"<svg ", ">title<", ">tailwatch<", ">limit<", ">100<", "80.0,180.0", "540.0,40.0", "</svg>"} {
		if !strings.Contains(svg, part) {
			t.Errorf("no %s in %s", part, svg)
		}
	}
}
