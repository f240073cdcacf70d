package network

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	core "k8s.io/api/core/v1"

	"tailwatch.dev/sandbox/world/sandbox"
)

// ProxyFor is the loopback proxy's address for a pod; the user name identifies the pod.
func (n *Network) ProxyFor(pod *core.Pod) string {
	return "http://" + pod.Namespace + "%2F" + pod.Name + ":-@" + sandbox.Loopback(n.Ports.Scrape)
}

// sender is the pod that sent a request to the loopback proxy: nil if it is unknown.
func (n *Network) sender(request *http.Request) *core.Pod {
	text, _ := strings.CutPrefix(request.Header.Get("Proxy-Authorization"), "Basic ")
	decoded, _ := base64.StdEncoding.DecodeString(text)
	name, _, _ := strings.Cut(string(decoded), ":")
	namespace, name, _ := strings.Cut(name, "/")
	pod, err := n.Objects().Pods.Pods(namespace).Get(name)
	if err != nil {
		return nil
	}
	return pod
}

// waitIfDenied keeps a denied connection open until the client gives up, as dropped packets do, and reports whether a
// policy denies it.
func (n *Network) waitIfDenied(request *http.Request, address string) bool {
	objects := n.Objects()
	if objects == nil {
		return false
	}
	found, ok := objects.Find(address)
	if !ok || n.Allows(n.sender(request), found) {
		return false
	}
	sandbox.Sleep(request.Context(), time.Minute)
	return true
}

// Transport keeps connections, since one process may answer for thousands of targets.
var Transport = &http.Transport{MaxIdleConnsPerHost: 100}

// Proxy forwards the connections of the backends in the simulated cluster: scrapes of Prometheus, the issuer of oauth2-proxy.
func (n *Network) Proxy(answer http.ResponseWriter, request *http.Request) {
	address := request.Host
	if request.Method != http.MethodConnect && request.URL.Port() == "" {
		address = net.JoinHostPort(request.URL.Hostname(), "80")
	}
	local, ok := n.Resolve(address)
	if !ok {
		http.Error(answer, "no backend has the address "+address, http.StatusBadGateway)
		return
	}
	if n.waitIfDenied(request, address) {
		http.Error(answer, "a NetworkPolicy denies "+address, http.StatusGatewayTimeout)
		return
	}
	if request.Method == http.MethodConnect {
		tunnel(answer, local)
		return
	}
	if local == sandbox.Loopback(n.Ports.Exporters) {
		n.exporters.ServeHTTP(answer, request)
		return
	}
	forward := httputil.ReverseProxy{Transport: Transport, Rewrite: func(proxied *httputil.ProxyRequest) {
		proxied.Out.URL = &url.URL{Scheme: "http", Host: local, Path: proxied.In.URL.Path, RawPath: proxied.In.URL.RawPath, RawQuery: proxied.In.URL.RawQuery}
		proxied.Out.Host = proxied.In.Host
		proxied.Out.Header["X-Forwarded-For"] = proxied.In.Header["X-Forwarded-For"]
	}}
	forward.ServeHTTP(answer, request)
}
