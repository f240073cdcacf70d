package network

import (
	"crypto/tls"
	"sync"
	"time"

	"tailwatch.dev/sandbox/world/pki"
)

// Periods for which the servers of the world outside have certificates.
const (
	certificateDays = 90
	day             = 24 * time.Hour
)

// outside gives the servers that stand for the world outside the certificate for the name that they are asked under:
// by the sandbox's authority, or as wrong as a fault says.
type certificates struct {
	own, foreign *pki.Authority
	mutex        sync.Mutex
	issued       map[string]*tls.Certificate
}

func newCertificates(own *pki.Authority) (*certificates, error) {
	foreign, err := pki.NewAuthority()
	return &certificates{own: own, foreign: foreign, issued: map[string]*tls.Certificate{}}, err
}

// certificate for a host: wrong is `certificate-expired`, `certificate-ends`, `certificate-untrusted`,
// `certificate-foreign`, or something that has nothing to do with certificates.
func (c *certificates) certificate(host, wrong string) (*tls.Certificate, error) {
	signer, ends := c.own, time.Now().Add(certificateDays*day)
	switch wrong {
	case "certificate-untrusted", "certificate-foreign":
		signer = c.foreign
	case "certificate-expired":
		ends = time.Now().Add(-day)
	case "certificate-ends":
		// Some hours more, so that these are the whole days that are left, however long the test takes.
		ends = time.Now().Add(5*day + 6*time.Hour)
	default:
		wrong = ""
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if made, ok := c.issued[wrong+" "+host]; ok {
		return made, nil
	}
	template := pki.CertificateOf(host, nil)
	template.DNSNames, template.NotBefore, template.NotAfter = []string{host}, ends.Add(-certificateDays*day), ends
	der, key, err := signer.Sign(template)
	if err != nil {
		return nil, err
	}
	made := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	c.issued[wrong+" "+host] = made
	return made, nil
}
