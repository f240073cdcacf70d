package network

import (
	"crypto/tls"
	"sync"
	"time"

	"tailwatch.dev/sandbox/world/pki"
)

// Validity of the certificates of servers outside the cluster.
const (
	certificateDays = 90
	day             = 24 * time.Hour
)

// certificates makes the certificates of servers outside the cluster by their SNI name: valid ones of the sandbox's
// authority, or invalid ones for a fault.
type certificates struct {
	own, foreign *pki.Authority
	mutex        sync.Mutex
	issued       map[string]*tls.Certificate
}

func newCertificates(own *pki.Authority) (*certificates, error) {
	foreign, err := pki.NewAuthority()
	return &certificates{own: own, foreign: foreign, issued: map[string]*tls.Certificate{}}, err
}

// certificate for a host. fault is `certificate-expired`, `certificate-expiring` or `certificate-untrusted`; others have no
// effect.
func (c *certificates) certificate(host, fault string) (*tls.Certificate, error) {
	signer, ends := c.own, time.Now().Add(certificateDays*day)
	switch fault {
	case "certificate-untrusted":
		signer = c.foreign
	case "certificate-expired":
		ends = time.Now().Add(-day)
	case "certificate-expiring":
		// With some spare hours five whole days remain until the end of a test.
		ends = time.Now().Add(5*day + 6*time.Hour)
	default:
		fault = ""
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if made, ok := c.issued[fault+" "+host]; ok {
		return made, nil
	}
	template := pki.CertificateOf(host, nil)
	// A day earlier: the clock that a client reads may be some milliseconds behind.
	template.DNSNames, template.NotBefore, template.NotAfter = []string{host}, ends.Add(-(certificateDays+1)*day), ends
	der, key, err := signer.Sign(template)
	if err != nil {
		return nil, err
	}
	made := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	c.issued[fault+" "+host] = made
	return made, nil
}
