package worlds

import (
	"strings"
	"testing"
)

func TestEveryRowIsRead(t *testing.T) {
	names := append(Names(), Default)
	if len(names) < 2 {
		t.Fatal(names)
	}
	for _, name := range names {
		world, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if world.Name != name || len(world.AllNodes()) == 0 || len(world.StorageClasses) == 0 {
			t.Errorf("%s: %+v", name, world)
		}
	}
}

func TestAnUnknownNameIsCorrected(t *testing.T) {
	for name, hint := range map[string]string{"k3": "did you mean k3s?", "one_node": "did you mean one-node?", "TALOS": "did you mean talos?", "openshift": ""} {
		_, err := Find(name)
		if err == nil {
			t.Fatalf("%s is a world", name)
		}
		text := err.Error()
		if !strings.Contains(text, hint) || (hint == "" && strings.Contains(text, "did you mean")) {
			t.Errorf("%s: %s", name, text)
		}
		if !strings.Contains(text, strings.Join(Names(), ", ")) {
			t.Errorf("no list of worlds: %s", text)
		}
	}
}

func TestARowWithAMistakeIsRefused(t *testing.T) {
	standard := "network: {nodes: 10.2.0.0/16, pods: 10.244.0.0/16, services: 10.0.0.0/24}"
	for row, problem := range map[string]string{
		"nodes: [{name: a, taint: x}]": "unknown field",
		"title: none":                  "no nodes",
		"nodes: [{name: a, count: 2}]": `a second node is called "a"`,
		"{nodes: [{name: a}], network: {nodes: 10.0.0.0/24, pods: fd00::/64, services: fd01::/112}}": "two families",
		"{nodes: [{name: a}], network: {nodes: 10.0.0.0}}":                                           "no '/'",
	} {
		if _, err := parse("w", []byte(standard), []byte(row)); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: %v", row, err)
		}
	}
}

func TestNodesOfARowAreNumbered(t *testing.T) {
	world := World{Nodes: []NodeRow{{Name: "cp"}, {Name: "w-{n}", Count: 2}}}
	names := []string{}
	for _, node := range world.AllNodes() {
		names = append(names, node.Name)
	}
	if got := strings.Join(names, " "); got != "cp w-0 w-1" {
		t.Error(got)
	}
}

func TestAddressesOfARange(t *testing.T) {
	for text, want := range map[string]string{"10.244.0.0/16": "10.244.1.4", "fd00:244::/64": "fd00:244::104"} {
		address := Nth(text, 260)
		if address.String() != want || Number(text, address) != 260 {
			t.Errorf("%s: %s is number %d", text, address, Number(text, address))
		}
	}
	if number := Number("10.2.0.0/16", Nth("10.244.0.0/16", 1)); number != 0 {
		t.Error(number)
	}
	if size := Size("10.0.0.0/24"); size != 256 {
		t.Error(size)
	}
}
