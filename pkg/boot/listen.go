package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// listen opens a listener on HOST:PORT or unix:PATH; field is the configuration field of the address.
func listen(ctx context.Context, field, addr string) (net.Listener, error) {
	network, target := "tcp", addr
	if authn.IsUnix(addr) {
		network, target = "unix", strings.TrimPrefix(strings.TrimPrefix(addr, "unix:"), "//")
		removeStale(ctx, target)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, network, target)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, errs.Invalid(field, "another process listens on %s; stop it, or give another address", addr)
	case err != nil:
		return nil, errs.Invalid(field, "cannot listen on %s: %v", addr, err)
	}
	return listener, nil
}

// removeStale removes a unix socket that a killed process left behind: one that nobody answers on.
func removeStale(ctx context.Context, path string) {
	info, err := os.Stat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path) // if this fails, so does listening, and that is reported
	}
}

// httpServer serves HTTP until it is stopped.
type httpServer struct {
	server *http.Server
	cancel context.CancelFunc // ends the requests under way
}

// serveHTTP answers on the listener, on a goroutine of its own; failed is called when that ends by itself.
func serveHTTP(listener net.Listener, handler http.Handler, logger *slog.Logger, failed func(error)) *httpServer {
	ctx, cancel := context.WithCancel(context.Background())
	s := &httpServer{cancel: cancel, server: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}}
	go func() {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed(fmt.Errorf("serve HTTP at %s: %w", listener.Addr(), err))
		}
	}()
	return s
}

// stop lets requests end for the grace, then ends them, and closes what is left when ctx ends.
func (s *httpServer) stop(ctx context.Context, grace time.Duration) error {
	timer := time.AfterFunc(grace, s.cancel)
	defer timer.Stop()
	defer s.cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		return errors.Join(err, s.server.Close())
	}
	return nil
}
