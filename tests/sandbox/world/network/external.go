package network

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"

	"tailwatch.dev/sandbox/world/httpserver"
	"tailwatch.dev/sandbox/world/sandbox"
)

// tailnetPeer is the address on the tailnet of the client.
const tailnetPeer = "100.64.0.7"

// resolveExternal resolves an address for a machine outside the cluster: the issuer, and the hostnames of Ingresses while
// the machine is on the tailnet.
func (n *Network) resolveExternal(address string) (string, bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port != "443" {
		return "", false
	}
	if host == sandbox.IssuerHost {
		return n.Resolve(address)
	}
	if fault, _ := n.Fault("tailscale"); fault.Target == "not-joined" || n.published(host) == nil {
		return "", false
	}
	return sandbox.Loopback(n.Ports.Tailnet), true
}

// ExternalProxy is the HTTPS_PROXY of `scripts/sandbox env`.
func (n *Network) ExternalProxy(answer http.ResponseWriter, request *http.Request) {
	if request.Method != http.MethodConnect {
		http.Error(answer, "CONNECT only", http.StatusMethodNotAllowed)
		return
	}
	local, ok := n.resolveExternal(request.Host)
	if !ok {
		http.Error(answer, "no server outside the sandbox's cluster has the address "+request.Host, http.StatusBadGateway)
		return
	}
	tunnel(answer, local)
}

// published is the Ingress with this hostname in its status.
func (n *Network) published(host string) *networking.Ingress {
	objects := n.Objects()
	if objects == nil {
		return nil
	}
	for _, ingress := range objects.AllIngresses() {
		for _, given := range ingress.Status.LoadBalancer.Ingress {
			if given.Hostname == host {
				return ingress
			}
		}
	}
	return nil
}

// tailscaleProxy is the Tailscale proxy of an Ingress: it terminates TLS, sets the X-Forwarded headers
// (ipn/ipnlocal/serve.go), and forwards the request to the Service of the Ingress.
func (n *Network) tailscaleProxy(answer http.ResponseWriter, request *http.Request) {
	host := request.TLS.ServerName
	local, ok := n.resolveIngress(host)
	if !ok {
		http.Error(answer, "the tailnet's proxy has no backend for "+host, http.StatusBadGateway)
		return
	}
	proxy := httputil.ReverseProxy{Transport: Transport, ErrorLog: httpserver.DiscardLog, Rewrite: func(proxied *httputil.ProxyRequest) {
		proxied.SetURL(&url.URL{Scheme: "http", Host: local})
		proxied.Out.Host = proxied.In.Host
		for name := range proxied.Out.Header {
			if strings.HasPrefix(name, "Tailscale-") {
				proxied.Out.Header.Del(name)
			}
		}
		proxied.Out.Header.Set("X-Forwarded-Host", proxied.In.Host)
		proxied.Out.Header.Set("X-Forwarded-Proto", "https")
		proxied.Out.Header.Set("X-Forwarded-For", tailnetPeer)
	}}
	proxy.ServeHTTP(answer, request)
}

// resolveIngress gives the local address of the Service of the Ingress with this hostname.
func (n *Network) resolveIngress(host string) (string, bool) {
	ingress := n.published(host)
	if ingress == nil || ingress.Spec.DefaultBackend == nil || ingress.Spec.DefaultBackend.Service == nil {
		return "", false
	}
	backend := ingress.Spec.DefaultBackend.Service
	service, err := n.Objects().Services.Services(ingress.Namespace).Get(backend.Name)
	if err != nil {
		return "", false
	}
	port, ok := servicePort(service, backend.Port)
	if !ok {
		return "", false
	}
	return n.Resolve(fmt.Sprintf("%s.%s.svc:%d", service.Name, service.Namespace, port))
}

func servicePort(service *core.Service, wanted networking.ServiceBackendPort) (int32, bool) {
	for _, port := range service.Spec.Ports {
		if port.Port == wanted.Number || (wanted.Name != "" && port.Name == wanted.Name) {
			return port.Port, true
		}
	}
	return 0, false
}

// ListenExternal starts the servers outside the cluster, each with the certificate that its fault asks for.
func (n *Network) ListenExternal(issuer http.Handler) error {
	for _, row := range []struct {
		port    int
		fault   string
		handler http.Handler
	}{
		{n.Ports.Issuer, "issuer", issuer},
		{n.Ports.Tailnet, "tailscale", http.HandlerFunc(n.tailscaleProxy)},
	} {
		certificate := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			fault, _ := n.Fault(row.fault)
			return n.certificates.certificate(hello.ServerName, fault.Target)
		}
		if _, err := httpserver.ListenPerConnection(row.port, row.handler, certificate); err != nil {
			return err
		}
	}
	return nil
}
