// Command artist is one of the card creator's scripted agents: the designer or the critic.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/signalbox-dev/signalbox/examples/agent"
	"github.com/signalbox-dev/signalbox/examples/card-creator/artists"
	"github.com/signalbox-dev/signalbox/examples/card-creator/workflow"
	"github.com/signalbox-dev/signalbox/examples/program"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
)

const usage = `artist: one of the card creator's scripted agents

  artist --as designer --worker dora
  artist --as critic --worker kit

Flags:
`

func main() { program.Main("artist", run) }

func run(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("artist", flag.ContinueOnError)
	address := set.String("address", "127.0.0.1:7411", "`host:port` of Signalbox's gRPC listener; SIGNALBOX_API_KEY is its key, if it wants one")
	who := set.String("as", "", "`designer` or critic; required")
	worker := set.String("worker", "", "stable `name` of this worker; required")
	pace := set.Duration("pace", 500*time.Millisecond, "how long a turn takes")
	if err := program.Parse(set, usage, args); err != nil {
		return err
	}
	minds := map[string]agent.Mind{"designer": artists.Designer{Pace: *pace}, "critic": artists.Critic{Pace: *pace}}
	names := map[string]string{"designer": workflow.Designer, "critic": workflow.Critic}
	switch {
	case minds[*who] == nil:
		return fmt.Errorf("--as is %q; give designer or critic", *who)
	case *worker == "":
		return errors.New("--worker is required: a name that stays the same when the artist is started again")
	}
	conn, err := rpcclient.Dial(*address, rpcclient.Credentials{APIKey: os.Getenv("SIGNALBOX_API_KEY")})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	(&agent.Worker{
		Name: *worker, Door: &agent.GRPC{Conn: conn, Namespace: workflow.Namespace, Agent: names[*who]}, Mind: minds[*who],
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}).Run(ctx)
	return nil
}
