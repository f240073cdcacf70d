package main

import (
	"crypto/tls"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// serve answers at the kubelets' port. What the kubelet does not do itself is kwok's.
func (k *kubelet) serve() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(&url.URL{Scheme: "https", Host: loopback(k.w.Ports.Kwok)})
		},
		// Both ends are on loopback, with keys of this sandbox.
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		FlushInterval: -1,
	}
}
