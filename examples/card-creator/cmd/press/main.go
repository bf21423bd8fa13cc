// Command press is the card creator's printing press as an MCP tool server.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"time"

	"github.com/signalbox-dev/signalbox/examples/card-creator/press"
	"github.com/signalbox-dev/signalbox/examples/program"
	"github.com/signalbox-dev/signalbox/examples/serve"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

const usage = `press: a printing press for game cards as an MCP tool server

  press --dir /tmp/press --http 127.0.0.1:7731 --control 127.0.0.1:7732
  curl 127.0.0.1:7732/counts

Flags:
`

func main() { program.Main("press", run) }

func run(ctx context.Context, args []string) (err error) {
	set := flag.NewFlagSet("press", flag.ContinueOnError)
	dir := set.String("dir", "", "`folder` of pictures, decks and the journal; made when absent; required")
	http := set.String("http", "127.0.0.1:7731", "serve MCP on this loopback `host:port`, path /mcp")
	control := set.String("control", "127.0.0.1:7732", "serve the counters on this loopback `host:port`")
	pace := set.Duration("pace", time.Second, "how long a render takes")
	if err := program.Parse(set, usage, args); err != nil {
		return err
	}
	if *dir == "" {
		return errors.New("--dir is required: a folder for pictures, decks and the journal")
	}
	if err := os.MkdirAll(*dir, 0o750); err != nil {
		return err
	}
	p, err := press.Open(*dir, *pace, clock.Real())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	v := &press.Server{Press: p, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	return serve.Servers{HTTP: *http, Control: *control, Grace: 2 * time.Second}.Serve(ctx, v.HTTP(), v.Control(), nil)
}
