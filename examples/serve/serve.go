// Package serve is what the example servers share: listening with care, ending in order, plain JSON.
package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

// Listen opens a TCP listener. An address that is not loopback is refused unless guarded says that
// whoever connects must prove who they are.
func Listen(address string, guarded bool) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	if !guarded && !loopback(host) {
		return nil, fmt.Errorf("address %q is not loopback: use 127.0.0.1, or set a token", address)
	}
	var opener net.ListenConfig
	return opener.Listen(context.Background(), "tcp", address) // opening a local port does not wait
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Run serves handler on l until ctx ends, then lets requests under way finish for up to grace.
func Run(ctx context.Context, l net.Listener, handler http.Handler, grace time.Duration) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := server.Shutdown(end)
	if errors.Is(err, context.DeadlineExceeded) { // event streams stay open until they are cut
		err = server.Close()
	}
	if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
		err = errors.Join(err, failed)
	}
	return err
}

// Local keeps web pages away from a handler without login: it refuses requests from another origin, and
// those whose Host is no loopback name (a page may point its own name at this machine).
func Local(next http.Handler) http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if !loopback(host) {
			http.Error(w, "Host is not a loopback name", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// JSON answers with v as JSON.
func JSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a caller that left needs no answer
}

// Ready is the line by which a server tells a parent process where it listens.
type Ready struct {
	MCP     string `json:"mcp,omitempty"`
	Control string `json:"control,omitempty"`
	PID     int    `json:"pid"`
}

// announce prints the line: on standard output, or on standard error where output belongs to MCP.
func (r Ready) announce(overStdio bool) {
	out := io.Writer(os.Stdout)
	if overStdio {
		out = os.Stderr
	}
	_ = json.NewEncoder(out).Encode(r) // nobody reads it: nothing to do about it
}

// Servers are the listeners of one example server.
type Servers struct {
	HTTP    string // host:port of MCP over streamable HTTP; empty: over stdio
	Control string // loopback host:port of the control endpoint; empty: none
	Guarded bool   // MCP over HTTP asks for a token, so HTTP need not be loopback
	Grace   time.Duration
}

// Serve serves MCP and control until ctx ends or MCP does. stdio serves MCP when s.HTTP is empty.
func (s Servers) Serve(ctx context.Context, mcp, control http.Handler, stdio func(context.Context) error) error {
	said := Ready{PID: os.Getpid()}
	var front, side net.Listener
	var err error
	if s.Control != "" {
		if side, err = Listen(s.Control, false); err != nil {
			return fmt.Errorf("control: %w", err)
		}
		said.Control = "http://" + side.Addr().String()
	}
	if s.HTTP != "" {
		if front, err = Listen(s.HTTP, s.Guarded); err != nil {
			if side != nil {
				err = errors.Join(err, side.Close())
			}
			return err
		}
		said.MCP = "http://" + front.Addr().String() + "/mcp"
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	if side != nil {
		group.Go(func() error { return Run(ctx, side, control, s.Grace) })
	}
	group.Go(func() error {
		defer stop() // the end of MCP ends the control endpoint too
		if front != nil {
			return Run(ctx, front, mcp, s.Grace)
		}
		if err := stdio(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, io.EOF) {
			return err
		}
		return nil
	})
	said.announce(front == nil)
	return group.Wait()
}
