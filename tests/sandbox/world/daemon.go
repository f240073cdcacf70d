package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"tailwatch.dev/sandbox/world/podstages"
	"tailwatch.dev/sandbox/world/sandbox"
)

func serve(arguments []string) error {
	s, err := sandbox.Load(arguments[0])
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.Path("pid"), fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	w, err := newWorld(s)
	if err != nil {
		return err
	}
	defer w.stop()
	if err := w.start(ctx); err != nil {
		return err
	}
	if err := w.listenForCommands(); err != nil {
		return err
	}
	if err := os.WriteFile(w.Path("ready"), nil, 0o600); err != nil {
		return err
	}
	w.awaitOwnerExit(ctx)
	return nil
}

func answersFile(s *sandbox.Sandbox) string {
	return `# Answers of sandbox ` + s.Name + `; the client secret is in the variable that ` + "`scripts/sandbox env`" + ` prints.
version: 1
tailnet: ` + sandbox.Tailnet + `
auth0:
  issuer: https://` + sandbox.IssuerHost + `/
  clientId: ` + sandbox.ClientID + `
  clientSecret: { env: AUTH0_CLIENT_SECRET }
  groupsClaim: ` + sandbox.GroupsClaim + `
`
}

func (w *world) awaitOwnerExit(ctx context.Context) {
	ctx, gone := context.WithCancel(ctx)
	defer gone()
	sandbox.Every(ctx, 500*time.Millisecond, func() {
		if w.OwnerPID > 0 && syscall.Kill(w.OwnerPID, 0) != nil {
			log.Printf("the owner (pid %d) has ended", w.OwnerPID)
			w.stop()
			_ = os.RemoveAll(w.Dir)
			gone()
		}
	})
}

func (w *world) listenForCommands() error {
	listener, err := net.Listen("unix", w.Path("control.sock"))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	var one sync.Mutex
	handle := func(path string, work func(*http.Request) error) {
		mux.HandleFunc(path, func(answer http.ResponseWriter, request *http.Request) {
			one.Lock()
			defer one.Unlock()
			if err := work(request); err != nil {
				http.Error(answer, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	mux.HandleFunc("/status", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprint(answer, w.describe()) })
	handle("/fault", func(request *http.Request) error {
		query := request.URL.Query()
		on := query.Get("to") == "on"
		fault, err := podstages.ParseFault(query.Get("fault"), on)
		if err != nil {
			return err
		}
		return w.setFault(request.Context(), fault, on)
	})
	handle("/reset", func(*http.Request) error {
		w.stop()
		if err := w.SetFaults(nil); err != nil {
			return err
		}
		for _, file := range []string{"audit.log", "egress.log"} {
			_ = os.Truncate(w.Path(file), 0)
		}
		_ = os.RemoveAll(w.Path("cache"))
		return w.start(context.Background())
	})
	go func() { _ = http.Serve(listener, mux) }()
	return nil
}
