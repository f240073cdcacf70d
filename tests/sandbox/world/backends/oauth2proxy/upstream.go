package oauth2proxy

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"

	"tailwatch.dev/sandbox/world/httpserver"
	"tailwatch.dev/sandbox/world/network"
	"tailwatch.dev/sandbox/world/sandbox"
)

var upstreamsLine = regexp.MustCompile(`(?m)^(\s*upstreams\s*=\s*\[\s*")([^"]+)("\s*,?\s*\])\s*$`)

// replaceUpstream puts this process into oauth2-proxy's configuration as the upstream, and gives the configured one:
// oauth2-proxy forwards the client's Host header, so a proxy could not resolve the upstream from a request.
func (p *oauth2Proxy) replaceUpstream(config string) (string, *url.URL, error) {
	found := upstreamsLine.FindAllStringSubmatch(config, -1)
	if len(found) != 1 {
		return "", nil, fmt.Errorf("the sandbox's oauth2-proxy needs one line with one upstream, the configuration has %d", len(found))
	}
	upstream, err := url.Parse(found[0][2])
	if err != nil || upstream.Scheme != "http" || upstream.Port() == "" {
		return "", nil, fmt.Errorf("the sandbox's oauth2-proxy needs an upstream http://HOST:PORT/, not %s", found[0][2])
	}
	return upstreamsLine.ReplaceAllString(config, "${1}http://"+sandbox.Loopback(p.network.Ports.Upstream)+"/${3}"), upstream, nil
}

// serveUpstream forwards to the backend of the configured upstream.
func (p *oauth2Proxy) serveUpstream(answer http.ResponseWriter, request *http.Request) {
	upstream := p.upstream.Load()
	if upstream == nil {
		panic(http.ErrAbortHandler)
	}
	local, ok := p.network.Resolve(upstream.Host)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	proxy := httputil.ReverseProxy{Transport: network.Transport, ErrorLog: httpserver.DiscardLog, Rewrite: func(proxied *httputil.ProxyRequest) {
		proxied.SetURL(&url.URL{Scheme: "http", Host: local, Path: upstream.Path})
		proxied.Out.Host = proxied.In.Host
		proxied.Out.Header["X-Forwarded-For"] = proxied.In.Header["X-Forwarded-For"]
	}, ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }}
	proxy.ServeHTTP(answer, request)
}
