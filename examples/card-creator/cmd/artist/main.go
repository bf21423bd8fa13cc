// Command artist is one of the card creator's scripted agents: the designer or the critic.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/signalbox-dev/signalbox/examples/card-creator/artists"
	"github.com/signalbox-dev/signalbox/examples/card-creator/workflow"
	"github.com/signalbox-dev/signalbox/examples/support-desk/agent"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "artist:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("artist", flag.ContinueOnError)
	address := set.String("address", "127.0.0.1:7411", "`host:port` of Signalbox's gRPC listener; SIGNALBOX_API_KEY is its key, if it wants one")
	who := set.String("as", "", "`designer` or critic; required")
	worker := set.String("worker", "", "stable `name` of this worker; required")
	pace := set.Duration("pace", 500*time.Millisecond, "how long a turn takes")
	if err := set.Parse(args); err != nil {
		return err
	}
	minds := map[string]agent.Mind{"designer": artists.Designer{Pace: *pace}, "critic": artists.Critic{Pace: *pace}}
	names := map[string]string{"designer": workflow.Designer, "critic": workflow.Critic}
	switch {
	case set.NArg() > 0:
		return fmt.Errorf("%q is not a flag; see artist --help", set.Arg(0))
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
