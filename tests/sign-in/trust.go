package main

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// dialTimeout of one host.
const dialTimeout = 10 * time.Second

// trusted verifies the certificates of the hosts by SSL_CERT_FILE, and gives the pins of their keys.
func trusted(proxy string, hosts []string) ([]string, error) {
	pins := []string{}
	for _, name := range hosts {
		pin, err := pinOf(proxy, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		pins = append(pins, pin)
	}
	return pins, nil
}

// pinOf is the base64 SHA-256 of the public key in the verified certificate of the host.
func pinOf(proxy, host string) (string, error) {
	connection, err := tunnel(proxy, host+":443")
	if err != nil {
		return "", err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(dialTimeout))
	client := tls.Client(connection, &tls.Config{ServerName: host})
	if err := client.Handshake(); err != nil {
		return "", err
	}
	digest := sha256.Sum256(client.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(digest[:]), nil
}

// tunnel dials through the proxy, if there is one.
func tunnel(proxy, address string) (net.Conn, error) {
	if proxy == "" {
		return net.DialTimeout("tcp", address, dialTimeout)
	}
	through, err := url.Parse(proxy)
	if err != nil {
		return nil, err
	}
	connection, err := net.DialTimeout("tcp", through.Host, dialTimeout)
	if err != nil {
		return nil, err
	}
	_ = connection.SetDeadline(time.Now().Add(dialTimeout))
	fmt.Fprintf(connection, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", address, address)
	answer, err := http.ReadResponse(bufio.NewReader(connection), &http.Request{Method: http.MethodConnect})
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("the proxy answers %s", answer.Status)
	}
	if err != nil {
		connection.Close()
		return nil, err
	}
	return connection, nil
}
