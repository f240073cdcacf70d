// Package httpserver serves HTTP on loopback, and writes the answers that several backends share.
package httpserver

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"

	"tailwatch.dev/sandbox/world/sandbox"
)

// Server is an HTTP server on loopback.
type Server struct {
	http  *http.Server
	mutex sync.Mutex
	ended bool
}

// Listen serves HTTP on a port.
func Listen(port int, handler http.Handler) (*Server, error) {
	return serve(port, handler, nil, func(s *http.Server, listener net.Listener) error { return s.Serve(listener) })
}

// ListenTLS serves HTTPS on a port, with the certificate FILE.crt and its key FILE.key.
func ListenTLS(port int, file string, handler http.Handler) (*Server, error) {
	return serve(port, handler, nil, func(s *http.Server, listener net.Listener) error {
		return s.ServeTLS(listener, file+".crt", file+".key")
	})
}

// ListenPerConnection serves HTTPS on a port with a certificate that is chosen for each connection. Each request comes
// by a connection of its own, so that the next one meets a certificate that has changed.
func ListenPerConnection(port int, handler http.Handler, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) (*Server, error) {
	return serve(port, handler, certificate, func(s *http.Server, listener net.Listener) error { return s.ServeTLS(listener, "", "") })
}

func serve(port int, handler http.Handler, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), serve func(*http.Server, net.Listener) error) (*Server, error) {
	listener, err := net.Listen("tcp", sandbox.Loopback(port))
	if err != nil {
		return nil, err
	}
	s := &Server{http: &http.Server{Handler: handler, ErrorLog: DiscardLog}}
	if certificate != nil {
		s.http.Protocols = &http.Protocols{}
		s.http.Protocols.SetHTTP1(true)
		s.http.SetKeepAlivesEnabled(false)
		s.http.TLSConfig = &tls.Config{GetCertificate: certificate}
	}
	go func() {
		_ = serve(s.http, listener)
		s.mutex.Lock()
		s.ended = true
		s.mutex.Unlock()
	}()
	return s, nil
}

var DiscardLog = log.New(discard{}, "", 0)

type discard struct{}

func (discard) Write(text []byte) (int, error) { return len(text), nil }

// Running: it has not been stopped.
func (s *Server) Running() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return !s.ended
}

// Stop closes the listener and all connections.
func (s *Server) Stop() { _ = s.http.Close() }

// ServeOn serves on a listener.
func ServeOn(listener net.Listener, handler http.Handler) *Server {
	s := &Server{http: &http.Server{Handler: handler}}
	go func() { _ = s.http.Serve(listener) }()
	return s
}

// MetricLine is one sample in the text format.
func MetricLine(name string, value int, labels ...string) string {
	text := ""
	for index := 0; index < len(labels); index += 2 {
		if index > 0 {
			text += ","
		}
		text += fmt.Sprintf("%s=%q", labels[index], labels[index+1])
	}
	return fmt.Sprintf("%s{%s} %d\n", name, text, value)
}

func WriteJSON(answer http.ResponseWriter, status int, value any) {
	answer.Header().Set("Content-Type", "application/json")
	answer.WriteHeader(status)
	_ = json.NewEncoder(answer).Encode(value)
}
