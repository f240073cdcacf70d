package alertmanager

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestEveryReceiverUsesTheProxy(t *testing.T) {
	config := map[string]any{}
	text := "global: { http_config: {} }\nreceivers: [{ name: a, webhook_configs: [{ url: http://a, http_config: { tls_config: {} } }] }]"
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	setProxy(config, "http://proxy")
	rewritten, _ := yaml.Marshal(config)
	if strings.Count(string(rewritten), "proxy_url: http://proxy") != 2 {
		t.Errorf("%s", rewritten)
	}
}
