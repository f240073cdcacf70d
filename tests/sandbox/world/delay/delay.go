// Package delay forwards connections with a round-trip time, and limits no throughput.
package delay

import (
	"net"
	"sync/atomic"
	"time"
)

// Forwarder passes the connections of a port on loopback on to a server.
type Forwarder struct {
	listener net.Listener
	// Bytes counts those of both directions.
	Bytes atomic.Int64
}

// Forward starts a forwarder to a server with this round-trip time, which may be zero.
func Forward(server string, roundTrip time.Duration) (*Forwarder, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &Forwarder{listener: listener}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go f.forward(client, server, roundTrip/2)
		}
	}()
	return f, nil
}

// Address is HOST:PORT of the forwarder.
func (f *Forwarder) Address() string { return f.listener.Addr().String() }

// forward copies both directions of a connection, each with a delay.
func (f *Forwarder) forward(client net.Conn, server string, delay time.Duration) {
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		client.Close()
		return
	}
	go f.copyDelayed(upstream, client, delay)
	f.copyDelayed(client, upstream, delay)
}

// copyDelayed delays every chunk; later chunks are read meanwhile. At the end of the source the other direction of the
// connection stays open.
func (f *Forwarder) copyDelayed(to, from net.Conn, delay time.Duration) {
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
				f.Bytes.Add(int64(count))
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
