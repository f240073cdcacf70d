package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"tailwatch.dev/sandbox/world/delay"
)

// delayed forwards connections to the API server with this round-trip time, until a signal ends it. It prints the path of a
// kubeconfig that uses it.
func delayed(arguments []string) error {
	s, flags, err := named("delay", arguments)
	if err != nil {
		return err
	}
	roundTrip, err := time.ParseDuration(flags.Arg(0))
	if err != nil || roundTrip <= 0 {
		return errors.New("usage: scripts/sandbox delay DURATION [--name N], e.g. 50ms")
	}
	server := s.API()
	forwarder, err := delay.Forward(server, roundTrip)
	if err != nil {
		return err
	}
	kubeconfig, err := os.ReadFile(s.Path("kubeconfig"))
	if err != nil {
		return err
	}
	path := s.Path("kubeconfig-delayed")
	changed := strings.ReplaceAll(string(kubeconfig), server, forwarder.Address())
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		return err
	}
	fmt.Println(path)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	<-ctx.Done()
	return nil
}
