package delay

import (
	"io"
	"net"
	"testing"
	"time"
)

func TestEveryAnswerTakesTheRoundTripTime(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		connection, err := server.Accept()
		if err == nil {
			_, _ = io.Copy(connection, connection)
			connection.Close()
		}
	}()
	forwarder, err := Forward(server.Addr().String(), 40*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", forwarder.Address())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := client.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(client, answer); err != nil || string(answer) != "ping" {
		t.Fatalf("%q, %v", answer, err)
	}
	if took := time.Since(began); took < 40*time.Millisecond {
		t.Errorf("the answer took %s", took)
	}
	// An end of one direction arrives at the other side, after everything before it.
	_ = client.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(client); err != nil || len(rest) != 0 {
		t.Errorf("%q, %v", rest, err)
	}
	if bytes := forwarder.Bytes.Load(); bytes != 8 {
		t.Errorf("%d bytes were counted", bytes)
	}
}
