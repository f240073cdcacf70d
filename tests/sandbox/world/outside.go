package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// Periods for which the servers of the world outside have certificates.
const (
	certificateDays = 90
	day             = 24 * time.Hour
)

// outside gives the servers that stand for the world outside the certificate for the name that they are asked under:
// by the sandbox's authority, or as wrong as a fault says.
type outside struct {
	own, foreign *authority
	mutex        sync.Mutex
	issued       map[string]*tls.Certificate
}

func newOutside(own *authority) (*outside, error) {
	foreign, err := newAuthority()
	return &outside{own: own, foreign: foreign, issued: map[string]*tls.Certificate{}}, err
}

// certificate for a host: wrong is `certificate-expired`, `certificate-ends`, `certificate-untrusted`,
// `certificate-foreign`, or something that has nothing to do with certificates.
func (o *outside) certificate(host, wrong string) (*tls.Certificate, error) {
	signer, ends := o.own, time.Now().Add(certificateDays*day)
	switch wrong {
	case "certificate-untrusted", "certificate-foreign":
		signer = o.foreign
	case "certificate-expired":
		ends = time.Now().Add(-day)
	case "certificate-ends":
		// Some hours more, so that these are the whole days that are left, however long the test takes.
		ends = time.Now().Add(5*day + 6*time.Hour)
	default:
		wrong = ""
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if made, ok := o.issued[wrong+" "+host]; ok {
		return made, nil
	}
	template := certificateOf(host, nil)
	template.DNSNames, template.NotBefore, template.NotAfter = []string{host}, ends.Add(-certificateDays*day), ends
	der, key, err := signer.sign(template)
	if err != nil {
		return nil, err
	}
	made := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	o.issued[wrong+" "+host] = made
	return made, nil
}

// listenOutside starts the issuer and the tailnet's door.
func (w *world) listenOutside(issuer http.Handler) ([]*server, error) {
	started := []*server{}
	for _, row := range []struct {
		port    int
		fault   string
		handler http.Handler
	}{
		{w.Ports.Issuer, "issuer", issuer},
		{w.Ports.Tailnet, "tailscale", http.HandlerFunc(w.tailnetDoor)},
	} {
		listener, err := net.Listen("tcp", loopback(row.port))
		if err != nil {
			return started, err
		}
		s := &server{http: &http.Server{Handler: row.handler, ErrorLog: discardLog, Protocols: &http.Protocols{}}}
		// Each request comes by a connection of its own, so that a fault of the certificate is met by the next.
		s.http.Protocols.SetHTTP1(true)
		s.http.SetKeepAlivesEnabled(false)
		s.http.TLSConfig = &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			fault, _ := w.fault(row.fault)
			return w.outside.certificate(hello.ServerName, fault.Target)
		}}
		go func() { _ = s.http.ServeTLS(listener, "", "") }()
		started = append(started, s)
	}
	return started, nil
}
