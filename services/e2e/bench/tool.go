package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// toolServer is the no-op tool server, a process of its own.
type toolServer struct {
	cmd     *exec.Cmd
	MCP     string `json:"mcp"`
	Control string `json:"control"`
}

func startTool(ctx context.Context, program string) (*toolServer, error) {
	cmd := exec.CommandContext(ctx, program, "--http", "127.0.0.1:0", "--control", "127.0.0.1:0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t := &toolServer{cmd: cmd}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("the tool server did not say that it is ready: %w", err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return t, json.Unmarshal(line, t)
}

func (t *toolServer) stop() {
	_ = t.cmd.Process.Kill()
	_ = t.cmd.Wait()
}

// calls is the tool server's own count.
func (t *toolServer) calls(ctx context.Context) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.Control+"/stats", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	var stats struct {
		Calls int64 `json:"calls"`
	}
	return stats.Calls, json.NewDecoder(resp.Body).Decode(&stats)
}

// payload is what every call carries.
const payload = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

// rawSDK calls the tool through the official SDK's client, one session a caller, and returns calls per second by the server's count.
func rawSDK(ctx context.Context, s settings, t *toolServer) (tally, error) {
	call := func(ctx context.Context) (func() error, func(), error) {
		c := mcp.NewClient(&mcp.Implementation{Name: "bench", Version: "1"}, nil)
		session, err := c.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: t.MCP, DisableStandaloneSSE: true}, nil)
		if err != nil {
			return nil, nil, err
		}
		one := func() error {
			r, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "noop", Arguments: map[string]any{"n": 1, "payload": payload}})
			if err == nil && r.IsError {
				err = errors.New("the tool answered with an error")
			}
			return err
		}
		return one, func() { _ = session.Close() }, nil
	}
	return hammer(ctx, s, t, call)
}

// rawPlain calls the tool with the least that speaks the protocol: one POST of ready JSON a call, the answer read and thrown away.
func rawPlain(ctx context.Context, s settings, t *toolServer) (tally, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: s.callers}}
	defer client.CloseIdleConnections()
	session := ""
	post := func(ctx context.Context, body []byte) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.MCP, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		if session != "" {
			req.Header.Set("Mcp-Session-Id", session)
			req.Header.Set("MCP-Protocol-Version", "2025-11-25")
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if session == "" {
			session = resp.Header.Get("Mcp-Session-Id")
		}
		if resp.StatusCode >= http.StatusBadRequest {
			return fmt.Errorf("the tool server answered %s", resp.Status)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	begin := `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`
	if err := post(ctx, []byte(begin)); err != nil {
		return tally{}, err
	}
	if err := post(ctx, []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)); err != nil {
		return tally{}, err
	}
	var id atomic.Int64
	return hammer(ctx, s, t, func(ctx context.Context) (func() error, func(), error) {
		return func() error {
			body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"noop","arguments":{"n":1,"payload":%q}}}`, id.Add(1), payload)
			return post(ctx, []byte(body))
		}, func() {}, nil
	})
}

// hammer lets many callers call for a while.
func hammer(ctx context.Context, s settings, t *toolServer, open func(context.Context) (func() error, func(), error)) (tally, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var work sync.WaitGroup
	var stop atomic.Bool
	failed := make(chan error, s.callers)
	for range s.callers {
		call, done, err := open(ctx)
		if err != nil {
			return tally{}, err
		}
		work.Go(func() {
			defer done()
			for !stop.Load() {
				if err := call(); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	return t.rate(ctx, s.span, func() error {
		stop.Store(true)
		work.Wait()
		return firstOf(failed)
	})
}

// tally is what the tool server itself counted.
type tally struct {
	calls  int64
	second float64
}

// rate is the tool server's own count of calls over a while; then it ends those who call.
func (t *toolServer) rate(ctx context.Context, span time.Duration, end func() error) (tally, error) {
	before, err := t.calls(ctx)
	begin := time.Now()
	wait(ctx, span)
	after, afterErr := t.calls(ctx)
	took := time.Since(begin)
	n := after - before
	return tally{calls: n, second: float64(n) / took.Seconds()}, errors.Join(err, afterErr, end())
}

// firstOf is the first error that somebody met, or nil.
func firstOf(failed <-chan error) error {
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// lone opens one SDK session for calls one after the other.
func lone(ctx context.Context, t *toolServer) (func() error, func(), error) {
	c := mcp.NewClient(&mcp.Implementation{Name: "bench", Version: "1"}, nil)
	session, err := c.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: t.MCP, DisableStandaloneSSE: true}, nil)
	if err != nil {
		return nil, nil, err
	}
	call := func() error {
		_, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "noop", Arguments: map[string]any{"n": 1, "payload": payload}})
		return err
	}
	return call, func() { _ = session.Close() }, nil
}
