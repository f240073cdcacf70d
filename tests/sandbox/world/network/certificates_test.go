package network

import (
	"crypto/x509"
	"testing"
	"time"

	"tailwatch.dev/sandbox/world/pki"
)

func TestCertificateIsValidForAClockThatIsBehind(t *testing.T) {
	own, err := pki.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificates, err := newCertificates(own)
	if err != nil {
		t.Fatal(err)
	}
	made, err := certificates.certificate("grafana.example", "")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(made.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if behind := time.Now().Add(-time.Minute); parsed.NotBefore.After(behind) {
		t.Errorf("it is valid from %s, after %s", parsed.NotBefore, behind)
	}
}
