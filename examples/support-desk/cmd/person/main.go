// Command person is the support desk's scripted person at an inbox of decisions.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"

	"github.com/signalbox-dev/signalbox/examples/program"
	"github.com/signalbox-dev/signalbox/examples/support-desk/person"
	"github.com/signalbox-dev/signalbox/examples/support-desk/workflow"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
)

func main() { program.Main("person", run) }

const usage = `person: a scripted person who answers decisions, seeing only what Signalbox and the shop's screens show

  person --name Lea --role support-lead
  person --name Sam --role support-l2

Flags:
`

func run(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("person", flag.ContinueOnError)
	address := set.String("address", "127.0.0.1:7411", "`host:port` of Signalbox's gRPC listener; SIGNALBOX_API_KEY is its key, if it wants one")
	name := set.String("name", "", "`name` that the record will show; required")
	role := set.String("role", "", "`role` they have")
	namespace := set.String("namespace", workflow.Namespace, "namespace to look after; * is all")
	server := set.String("server", workflow.Server, "the desk's `name` among the tool servers")
	if err := program.Parse(set, usage, args); err != nil {
		return err
	}
	if *name == "" {
		return errors.New("--name is required: decisions are recorded in somebody's name")
	}
	conn, err := rpcclient.Dial(*address, rpcclient.Credentials{APIKey: os.Getenv("SIGNALBOX_API_KEY")})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	p := &person.Person{
		Name: *name, Role: *role, Namespace: *namespace, Conn: conn, Shop: person.Shop{Conn: conn, Server: *server},
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	p.Run(ctx)
	return nil
}
