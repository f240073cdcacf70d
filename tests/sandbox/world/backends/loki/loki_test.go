package loki

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"tailwatch.dev/sandbox/world/backends"
	"tailwatch.dev/sandbox/world/sandbox"
)

const installed = `auth_enabled: false
common:
  compactor_grpc_address: loki.m.svc:9095
  path_prefix: /var/loki
  storage: { filesystem: { chunks_directory: /var/loki/chunks } }
limits_config: { retention_period: 168h }
memberlist: { join_members: [loki-memberlist.m.svc, absent.m.svc] }
runtime_config: { file: /etc/loki/runtime-config/runtime-config.yaml }
server: { http_listen_port: 3100 }
`

var places = backends.Mounts{"/var/loki": "/sandbox/data", "/etc/loki/runtime-config": "/sandbox/runtime"}

func to() addresses {
	return addresses{1001, 1002, 1003, func(host string) bool { return strings.HasPrefix(host, "loki") }}
}

func TestOnlyPathsAddressesAndJoinsAreRewritten(t *testing.T) {
	rewritten, err := rewrite([]byte(installed), places, to())
	if err != nil {
		t.Fatal(err)
	}
	expected := `auth_enabled: false
common:
  compactor_grpc_address: 127.0.0.1:1002
  instance_addr: 127.0.0.1
  path_prefix: /sandbox/data
  ring: { instance_addr: 127.0.0.1, kvstore: { store: memberlist } }
  storage: { filesystem: { chunks_directory: /sandbox/data/chunks } }
limits_config: { retention_period: 168h }
memberlist:
  advertise_addr: 127.0.0.1
  advertise_port: 1003
  bind_addr: [127.0.0.1]
  bind_port: 1003
  join_members: ['127.0.0.1:1003', '127.0.0.1:1']
runtime_config: { file: /sandbox/runtime/runtime-config.yaml }
server: { grpc_listen_address: 127.0.0.1, grpc_listen_port: 1002, http_listen_address: 127.0.0.1, http_listen_port: 1001 }
`
	if same, err := yaml.YAMLToJSON([]byte(expected)); err != nil || string(same) != asJSON(t, rewritten) {
		t.Errorf("%s", rewritten)
	}
}

func TestTheProgramIsNotNewerThanTheImage(t *testing.T) {
	parts := sandbox.Parts{Loki: "/3.5", Loki37: "/3.7"}
	for image, expected := range map[string]string{
		"docker.io/grafana/loki:3.5.7": "/3.5/loki", "grafana/loki:3.6.7": "/3.5/loki", "localhost:5000/loki:3.7.0": "/3.7/loki",
		"grafana/loki:3.10.1-amd64": "/3.7/loki", "localhost:5000/loki@sha256:00": "/3.5/loki",
	} {
		if found, err := program(parts, image); err != nil || found != expected {
			t.Errorf("%s: %s %v", image, found, err)
		}
	}
	if _, err := program(sandbox.Parts{Loki: "/3.5"}, "grafana/loki:3.7.6"); err == nil {
		t.Error("3.7.6 is not built")
	}
}

func TestAPathOutsideTheMountsIsReadOnly(t *testing.T) {
	text := strings.Replace(installed, "/var/loki/chunks", "/data/chunks", 1)
	if _, err := rewrite([]byte(text), places, to()); err == nil || !strings.Contains(err.Error(), "/data/chunks: read-only file system") {
		t.Errorf("%v", err)
	}
}

func TestAConfiguredRingKeepsItsStore(t *testing.T) {
	text := strings.Replace(installed, "path_prefix", "ring: { kvstore: { store: inmemory } }\n  path_prefix", 1)
	if rewritten, err := rewrite([]byte(text), places, to()); err != nil || !strings.Contains(string(rewritten), "store: inmemory") {
		t.Errorf("%v %s", err, rewritten)
	}
}

func asJSON(t *testing.T, text []byte) string {
	t.Helper()
	found, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(found)
}
