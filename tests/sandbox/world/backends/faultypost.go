package backends

import (
	"net/http"
	"net/http/httputil"
	"net/url"

	"tailwatch.dev/sandbox/world/sandbox"
)

// FaultyPost forwards every request to a real program, except the POSTs of one path.
func FaultyPost(port int, path string, post func(http.ResponseWriter)) http.Handler {
	real := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: sandbox.Loopback(port)})
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodPost && request.URL.Path == path {
			post(answer)
			return
		}
		real.ServeHTTP(answer, request)
	})
}
