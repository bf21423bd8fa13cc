package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/sync/errgroup"

	"github.com/signalbox-dev/signalbox/examples/support-desk/desk"
	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
	"github.com/signalbox-dev/signalbox/examples/support-desk/mailer"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

// run serves until ctx ends or standard input closes.
func run(ctx context.Context, o options) (err error) {
	cfg := shop.Config{Path: o.db}
	if o.smtp != "" {
		cfg.Mailer = mailer.SMTP{Addr: o.smtp}
	}
	s, err := shop.Open(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := stock(s, o.data); err != nil {
		return err
	}
	switches, err := faults.Open(s)
	if err != nil {
		return err
	}
	if err := switches.Arm(o.faults...); err != nil {
		return err
	}
	d, err := desk.New(desk.Config{Shop: s, Faults: switches, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	return serve(ctx, o, d)
}

// stock loads the data when the shop has none.
func stock(s *shop.Shop, dir string) error {
	if !s.Empty() {
		return nil
	}
	if dir == "" {
		return errors.New("the shop is empty: load one with --data (the seed program makes one)")
	}
	data, err := shop.ReadData(dir)
	if err != nil {
		return err
	}
	return s.Load(data)
}

// ready is the line that tells a parent process where the desk listens.
type ready struct {
	MCP     string `json:"mcp,omitempty"`
	Control string `json:"control,omitempty"`
	PID     int    `json:"pid"`
}

func serve(ctx context.Context, o options, d *desk.Desk) error {
	var control, front net.Listener
	var err error
	said := ready{PID: os.Getpid()}
	if o.control != "" {
		if control, err = desk.Listen(o.control, false); err != nil {
			return fmt.Errorf("control: %w", err)
		}
		said.Control = "http://" + control.Addr().String()
	}
	if o.http != "" {
		if front, err = desk.Listen(o.http, o.token != ""); err != nil {
			return err
		}
		said.MCP = "http://" + front.Addr().String() + "/mcp"
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	if control != nil {
		group.Go(func() error { return desk.Serve(ctx, control, d.Control(), o.grace) })
	}
	group.Go(func() error {
		defer stop() // the end of MCP ends the control endpoint too
		if front == nil {
			return stdio(ctx, d)
		}
		handler := d.HTTP(desk.HTTPOptions{Stateless: o.stateless, EventStream: o.sse, SessionTimeout: o.sessionTimeout, Token: o.token})
		return desk.Serve(ctx, front, handler, o.grace)
	})
	announce(said, o.stdio)
	return group.Wait()
}

// announce prints the ready line: on standard output, which over stdio belongs to MCP.
func announce(said ready, overStdio bool) {
	out := io.Writer(os.Stdout)
	if overStdio {
		out = os.Stderr
	}
	_ = json.NewEncoder(out).Encode(said) // nobody reads it: nothing to do about it
}

func stdio(ctx context.Context, d *desk.Desk) error {
	err := d.MCP(true).Run(ctx, &mcp.StdioTransport{})
	if errors.Is(err, context.Canceled) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
