// Command telephony is the voice relay's telephone exchange as an MCP tool server.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"time"

	"github.com/signalbox-dev/signalbox/examples/program"
	"github.com/signalbox-dev/signalbox/examples/serve"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/exchange"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/telephony"
)

const usage = `telephony: a telephone exchange as an MCP tool server

  telephony --http 127.0.0.1:7721 --control 127.0.0.1:7722
  curl -X POST '127.0.0.1:7722/ring?call=c1&caller=%2B43%201%20555%200101'

Flags:
`

func main() { program.Main("telephony", run) }

func run(ctx context.Context, args []string) (err error) {
	set := flag.NewFlagSet("telephony", flag.ContinueOnError)
	file := set.String("journal", "exchange.jsonl", "`file` of what happened; made when absent")
	http := set.String("http", "127.0.0.1:7721", "serve MCP on this loopback `host:port`, path /mcp")
	control := set.String("control", "127.0.0.1:7722", "serve the callers' side on this loopback `host:port`")
	perWord := set.Duration("per-word", 60*time.Millisecond, "how long it takes to speak a word")
	if err := program.Parse(set, usage, args); err != nil {
		return err
	}
	x, err := exchange.OpenAt(*file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	t := &telephony.Telephony{Exchange: x, PerWord: *perWord, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	return serve.Servers{HTTP: *http, Control: *control, Grace: 2 * time.Second}.Serve(ctx, t.HTTP(), t.Control(), nil)
}
