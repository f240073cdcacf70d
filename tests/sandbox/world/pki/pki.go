// Package pki models the certificate authority of a sandbox.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"

	"tailwatch.dev/sandbox/world/sandbox"
)

// Authority signs every certificate of one sandbox.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := CertificateOf("tailwatch sandbox", nil)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage |= x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{certificate, key, encode("CERTIFICATE", der)}, nil
}

func CertificateOf(name string, groups []string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: groups},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(30 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Sign makes a key and the certificate for it.
func (a *Authority) Sign(template *x509.Certificate) ([]byte, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	return der, key, err
}

// issue writes FILE.crt and FILE.key.
func (a *Authority) issue(file, name string, groups []string, hosts ...string) error {
	certificate := CertificateOf(name, groups)
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			certificate.IPAddresses = append(certificate.IPAddresses, ip)
		} else {
			certificate.DNSNames = append(certificate.DNSNames, host)
		}
	}
	der, key, err := a.Sign(certificate)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".crt", encode("CERTIFICATE", der), 0o600); err != nil {
		return err
	}
	return os.WriteFile(file+".key", encode("EC PRIVATE KEY", private), 0o600)
}

// Create fills the folder `pki` of a sandbox, and gives the authority that signed it all.
func Create(s *sandbox.Sandbox) (*Authority, error) {
	if err := os.MkdirAll(s.Path("pki"), 0o700); err != nil {
		return nil, err
	}
	ca, err := NewAuthority()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.Path("pki", "ca.crt"), ca.pem, 0o600); err != nil {
		return nil, err
	}
	for _, row := range []struct {
		file, name string
		groups     []string
		hosts      []string
	}{
		{"apiserver", "kube-apiserver", nil, []string{"127.0.0.1", "::1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}},
		{"admin", "sandbox-admin", []string{"system:masters"}, nil},
		{"components", "sandbox-components", []string{"system:masters"}, nil},
		{"unprivileged", "sandbox-unprivileged", nil, nil},
		{"kubelet", "kwok", nil, []string{"127.0.0.1", "localhost"}},
		{"service-accounts", "service-accounts", nil, nil},
		{"exporters", "exporters", nil, []string{"127.0.0.1"}},
	} {
		if err := ca.issue(s.Path("pki", row.file), row.name, row.groups, row.hosts...); err != nil {
			return nil, err
		}
	}
	tokens := s.Token + `,sandbox-admin,sandbox-admin,"system:masters"` + "\n"
	return ca, os.WriteFile(s.Path("pki", "tokens.csv"), []byte(tokens), 0o600)
}
