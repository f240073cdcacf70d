package main

import (
	"net"
	"sync/atomic"
	"time"
)

// forwarder passes connections to the API server on: it counts bytes and delays them by half the round-trip time in each
// direction.
type forwarder struct {
	listener net.Listener
	half     time.Duration
	bytes    atomic.Int64
}

type chunk struct {
	due  time.Time
	data []byte
}

func newForwarder(target string, roundTrip time.Duration) (*forwarder, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &forwarder{listener: listener, half: roundTrip / 2}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				far, err := net.Dial("tcp", target)
				if err != nil {
					_ = near.Close()
					return
				}
				go f.pass(near, far)
				go f.pass(far, near)
			}()
		}
	}()
	return f, nil
}

func (f *forwarder) address() string { return f.listener.Addr().String() }

func (f *forwarder) pass(from, to net.Conn) {
	chunks := make(chan chunk, 1024)
	go func() {
		defer to.Close()
		for c := range chunks {
			time.Sleep(time.Until(c.due))
			if _, err := to.Write(c.data); err != nil {
				_ = from.Close()
			}
		}
	}()
	defer close(chunks)
	for {
		buffer := make([]byte, 32<<10)
		n, err := from.Read(buffer)
		if n > 0 {
			f.bytes.Add(int64(n))
			chunks <- chunk{time.Now().Add(f.half), buffer[:n]}
		}
		if err != nil {
			return
		}
	}
}
