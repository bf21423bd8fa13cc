// Command attendant is the voice relay's scripted agent.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"time"

	"github.com/signalbox-dev/signalbox/examples/agent"
	"github.com/signalbox-dev/signalbox/examples/program"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/attendant"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/workflow"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
)

const usage = `attendant: the voice relay's scripted agent

  attendant --worker ann

Flags:
`

func main() { program.Main("attendant", run) }

func run(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("attendant", flag.ContinueOnError)
	address := set.String("address", "127.0.0.1:7411", "`host:port` of Signalbox's gRPC listener; SIGNALBOX_API_KEY is its key, if it wants one")
	worker := set.String("worker", "", "stable `name` of this worker; required")
	pace := set.Duration("pace", 300*time.Millisecond, "how long a draft takes")
	if err := program.Parse(set, usage, args); err != nil {
		return err
	}
	if *worker == "" {
		return errors.New("--worker is required: a name that stays the same when the attendant is started again")
	}
	conn, err := rpcclient.Dial(*address, rpcclient.Credentials{APIKey: os.Getenv("SIGNALBOX_API_KEY")})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	(&agent.Worker{
		Name: *worker, Door: &agent.GRPC{Conn: conn, Namespace: workflow.Namespace, Agent: workflow.Agent}, Mind: attendant.Mind{Pace: *pace},
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}).Run(ctx)
	return nil
}
