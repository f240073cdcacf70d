package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// delay forwards connections to the API server with this round-trip time, until a signal ends it. It prints the path of a
// kubeconfig that uses it.
func delay(arguments []string) error {
	s, flags, err := named("delay", arguments)
	if err != nil {
		return err
	}
	roundTrip, err := time.ParseDuration(flags.Arg(0))
	if err != nil || roundTrip <= 0 {
		return errors.New("usage: scripts/sandbox delay DURATION [--name N], e.g. 50ms")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	kubeconfig, err := os.ReadFile(s.Path("kubeconfig"))
	if err != nil {
		return err
	}
	server := s.API()
	path := s.Path("kubeconfig-delayed")
	delayed := strings.ReplaceAll(string(kubeconfig), server, listener.Addr().String())
	if err := os.WriteFile(path, []byte(delayed), 0o600); err != nil {
		return err
	}
	fmt.Println(path)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	go func() {
		<-ctx.Done()
		listener.Close()
	}()
	for {
		client, err := listener.Accept()
		if err != nil {
			return nil
		}
		go forward(client, server, roundTrip/2)
	}
}

// forward copies both directions of a connection, each with a delay.
func forward(client net.Conn, server string, delay time.Duration) {
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		client.Close()
		return
	}
	go copyDelayed(upstream, client, delay)
	copyDelayed(client, upstream, delay)
}

// copyDelayed delays every chunk, and limits no throughput: later chunks are read meanwhile. At the end of the source the
// other direction of the connection stays open.
func copyDelayed(to, from net.Conn, delay time.Duration) {
	type chunk struct {
		at    time.Time
		bytes []byte
	}
	chunks := make(chan chunk, 1024)
	go func() {
		defer close(chunks)
		for {
			buffer := make([]byte, 32*1024)
			count, err := from.Read(buffer)
			if count > 0 {
				chunks <- chunk{time.Now().Add(delay), buffer[:count]}
			}
			if err != nil {
				return
			}
		}
	}()
	for chunk := range chunks {
		time.Sleep(time.Until(chunk.at))
		if _, err := to.Write(chunk.bytes); err != nil {
			from.Close()
			break
		}
	}
	for range chunks {
	}
	if writer, ok := to.(interface{ CloseWrite() error }); ok {
		_ = writer.CloseWrite()
	}
}
