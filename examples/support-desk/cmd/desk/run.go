package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/signalbox-dev/signalbox/examples/serve"
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
	handler := d.HTTP(desk.HTTPOptions{Stateless: o.stateless, EventStream: o.sse, SessionTimeout: o.sessionTimeout, Token: o.token})
	servers := serve.Servers{HTTP: o.http, Control: o.control, Guarded: o.token != "", Grace: o.grace}
	return servers.Serve(ctx, handler, d.Control(), func(ctx context.Context) error {
		return d.MCP(true).Run(ctx, &mcp.StdioTransport{})
	})
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
