package sandbox

import (
	"path/filepath"
	"testing"
)

func TestSandboxesHaveDistinctPorts(t *testing.T) {
	t.Setenv("TAILWATCH_SANDBOX_HOME", t.TempDir())
	names := []string{"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
	failures := make(chan error)
	for _, name := range names {
		go func() {
			failures <- (&Sandbox{Dir: filepath.Join(Home(), name), Settings: Settings{Name: name}}).Claim()
		}()
	}
	for range names {
		if err := <-failures; err != nil {
			t.Fatal(err)
		}
	}
	owners := map[int]string{}
	for _, s := range AllSandboxes() {
		for _, port := range s.Ports.fields() {
			if owner, taken := owners[*port]; taken || *port == 0 {
				t.Errorf("port %d is of %s and of %s", *port, owner, s.Name)
			}
			owners[*port] = s.Name
		}
	}
	if want := len(names) * len((&Ports{}).fields()); len(owners) != want {
		t.Errorf("%d ports, want %d", len(owners), want)
	}
}
