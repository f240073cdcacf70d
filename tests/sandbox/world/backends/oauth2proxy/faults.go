package oauth2proxy

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"time"

	"tailwatch.dev/sandbox/world/backends"
	"tailwatch.dev/sandbox/world/sandbox"
)

// misconfigure applies the fault `oauth2-proxy` to arguments and configuration. Arguments win over the environment and the file.
func misconfigure(fault string, arguments []string, text string) ([]string, string) {
	without := func(key string) string {
		return regexp.MustCompile(`(?m)^`+key+`\s*=.*$`).ReplaceAllString(text, "")
	}
	switch fault {
	case "wrong-client":
		return append(arguments, "--client-id=other-client"), text
	case "wrong-redirect":
		return append(arguments, "--redirect-url=https://grafana-1."+sandbox.Tailnet+"/oauth2/callback"), text
	case "wrong-issuer":
		const other = "https://other.eu.auth0.com"
		return append(arguments, "--skip-oidc-discovery=true", "--oidc-issuer-url="+other+"/", "--login-url="+other+"/authorize",
			"--redeem-url="+other+"/oauth/token", "--oidc-jwks-url="+other+"/.well-known/jwks.json"), text
	case "no-pkce":
		return backends.ReplaceFlags(arguments, map[string]string{"code-challenge-method": ""}), without("code_challenge_method")
	}
	return arguments, text
}

// trustedHeaders are the headers that the fault `oauth2-proxy=trusts-headers` accepts as a signed-in user.
var trustedHeaders = []string{"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups"}

// trustHeaders is a proxy in front of oauth2-proxy that accepts identity headers of the client.
func trustHeaders(oauth2Proxy, grafana string) http.Handler {
	towards := func(address string) http.Handler {
		return &httputil.ReverseProxy{Rewrite: func(proxied *httputil.ProxyRequest) {
			proxied.SetURL(&url.URL{Scheme: "http", Host: address})
			proxied.Out.Host = proxied.In.Host
			for name, values := range proxied.In.Header {
				if strings.HasPrefix(name, "X-Forwarded-") {
					proxied.Out.Header[name] = values
				}
			}
		}}
	}
	inside, outside := towards(grafana), towards(oauth2Proxy)
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		for _, name := range trustedHeaders {
			if request.Header.Get(name) != "" {
				inside.ServeHTTP(answer, request)
				return
			}
		}
		outside.ServeHTTP(answer, request)
	})
}

// awaitReady waits until oauth2-proxy answers, at most 5 s.
func (p *oauth2Proxy) awaitReady(ctx context.Context) {
	for range 100 {
		answer, err := http.Get("http://" + sandbox.Loopback(p.network.Ports.OAuth2Proxy) + "/ping")
		if err == nil {
			answer.Body.Close()
		}
		if (err == nil && answer.StatusCode == http.StatusOK) || !sandbox.Sleep(ctx, 50*time.Millisecond) {
			return
		}
	}
}

// pair is two processes that run and stop together.
type pair struct{ first, second backends.Process }

// Running: both are.
func (b pair) Running() bool { return b.first.Running() && b.second.Running() }

// Stop ends both.
func (b pair) Stop() {
	b.first.Stop()
	b.second.Stop()
}
