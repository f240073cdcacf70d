// Package oauth2proxy runs the real oauth2-proxy with the installed configuration.
package oauth2proxy

import (
	"net/http"
	"net/url"
	"os"
	"sync/atomic"

	"tailwatch.dev/sandbox/world/backends"
	"tailwatch.dev/sandbox/world/cluster"
	"tailwatch.dev/sandbox/world/httpserver"
	"tailwatch.dev/sandbox/world/network"
	"tailwatch.dev/sandbox/world/sandbox"
)

// oauth2Proxy is the real oauth2-proxy, with its pod's arguments, ConfigMap and Secret; the issuer is reached through the
// loopback proxy, the upstream as upstream.go describes.
type oauth2Proxy struct {
	network *network.Network
	// upstream is the one of its configuration.
	upstream atomic.Pointer[url.URL]
}

// Backend gives the backend and the handler of the upstream that the started oauth2-proxy is given.
func Backend(n *network.Network) (*backends.Backend, http.Handler) {
	p := &oauth2Proxy{network: n}
	return &backends.Backend{Name: "oauth2-proxy", Desired: p.desired, AwaitReady: p.awaitReady}, http.HandlerFunc(p.serveUpstream)
}

func (p *oauth2Proxy) desired(v *cluster.Objects) *backends.Desired {
	pods := v.ReadyPods("oauth2-proxy")
	if len(pods) == 0 {
		return nil
	}
	pod := pods[0]
	main := cluster.Container(pod, "oauth2-proxy")
	text, ok := v.MountedConfig(pod, "oauth2_proxy.cfg")
	if main == nil || !ok {
		return nil
	}
	environment := []string{}
	for _, variable := range main.Env {
		value, err := v.EnvValue(pod, variable)
		if err != nil {
			return nil
		}
		environment = append(environment, variable.Name+"="+value)
	}
	file := p.network.Path("oauth2_proxy.cfg")
	arguments := backends.ReplaceFlags(main.Args, map[string]string{
		"http-address": sandbox.Loopback(p.network.Ports.OAuth2Proxy), "metrics-address": sandbox.Loopback(p.network.Ports.OAuth2ProxyMetrics), "https-address": "", "config": file,
	})
	fault, _ := p.network.Fault("oauth2-proxy")
	arguments, text = misconfigure(fault.Target, arguments, text)
	fingerprint := sandbox.Hash(append(append(arguments, environment...), text, string(pod.UID), fault.Target)...)
	proxy := p.network.ProxyFor(pod)
	environment = append(environment, "HTTP_PROXY="+proxy, "HTTPS_PROXY="+proxy, "SSL_CERT_FILE="+p.network.Path("pki", "ca.crt"))
	return &backends.Desired{Fingerprint: fingerprint, Start: func() (backends.Process, error) {
		config, upstream, err := p.replaceUpstream(text)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			return nil, err
		}
		p.upstream.Store(upstream)
		var before *httpserver.Server
		if fault.Target == "trusts-headers" {
			inner := sandbox.Loopback(p.network.Ports.OAuth2ProxyInternal)
			arguments = backends.ReplaceFlags(arguments, map[string]string{"http-address": inner})
			if before, err = httpserver.Listen(p.network.Ports.OAuth2Proxy, trustHeaders(inner, sandbox.Loopback(p.network.Ports.Grafana))); err != nil {
				return nil, err
			}
		}
		child, err := p.network.StartProcess("oauth2-proxy", arguments, environment)
		switch {
		case err != nil:
			return nil, err
		case before != nil:
			return pair{before, child}, nil
		}
		return child, nil
	}}
}
