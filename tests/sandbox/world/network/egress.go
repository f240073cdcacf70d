package network

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"tailwatch.dev/sandbox/world/sandbox"
)

// ServeEgress is the egress proxy of the API server on a Unix socket: for kubelets, webhooks and Service proxies. An
// address without a backend is refused at once. Each request is a line of egress.log: time, target, local address.
func (n *Network) ServeEgress() error {
	listener, err := net.Listen("unix", n.Path("egress.sock"))
	if err != nil {
		return err
	}
	log, err := os.OpenFile(n.Path("egress.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	var mutex sync.Mutex
	record := func(target, to string) {
		mutex.Lock()
		defer mutex.Unlock()
		_ = json.NewEncoder(log).Encode(map[string]string{"time": time.Now().UTC().Format(time.RFC3339Nano), "target": target, "to": to})
	}
	handler := http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.Method != http.MethodConnect {
			http.Error(answer, "CONNECT only", http.StatusMethodNotAllowed)
			return
		}
		local, ok := n.Resolve(request.Host)
		// The API server keeps its connections to a webhook.
		ctx, stop := context.WithCancel(request.Context())
		defer stop()
		if local == sandbox.Loopback(n.Ports.Operator) {
			ok = ok && !n.isWebhookUnreachable()
			go sandbox.Every(ctx, 50*time.Millisecond, func() {
				if n.isWebhookUnreachable() {
					stop()
				}
			})
		}
		if !ok {
			record(request.Host, "refused")
			http.Error(answer, "no backend has the address "+request.Host, http.StatusBadGateway)
			return
		}
		record(request.Host, local)
		tunnelUntil(ctx, answer, local)
	})
	go func() { _ = http.Serve(listener, handler) }()
	return nil
}

func (n *Network) isWebhookUnreachable() bool {
	fault, _ := n.Fault("metrics")
	return fault.Target == "webhook-unreachable"
}

// tunnel connects a CONNECT request to a local address.
func tunnel(answer http.ResponseWriter, local string) {
	tunnelUntil(context.Background(), answer, local)
}

// tunnelUntil cuts the tunnel when the context ends.
func tunnelUntil(ctx context.Context, answer http.ResponseWriter, local string) {
	upstream, err := net.DialTimeout("tcp", local, 3*time.Second)
	if err != nil {
		http.Error(answer, err.Error(), http.StatusBadGateway)
		return
	}
	defer upstream.Close()
	client, buffered, err := answer.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	fmt.Fprint(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	done := make(chan struct{}, 2)
	go func() { _, _ = io.Copy(upstream, buffered); done <- struct{}{} }()
	go func() { _, _ = io.Copy(client, upstream); done <- struct{}{} }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
