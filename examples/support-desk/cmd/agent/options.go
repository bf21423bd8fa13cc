package main

import (
	"errors"
	"flag"
	"fmt"

	"github.com/signalbox-dev/signalbox/examples/program"
	"github.com/signalbox-dev/signalbox/examples/support-desk/workflow"
)

// options are what flags and environment say.
type options struct {
	address, mcp, key        string
	namespace, agent, worker string
	calls                    string
	workers                  int
	verbose                  bool
}

const usage = `agent: the support desk's scripted agent

  agent --worker w1                                       by gRPC, deciding by rules
  agent --worker w1 --mcp http://127.0.0.1:7412/mcp       the same by MCP
  agent --worker w1 --agent agents/clerk --calls calls.jsonl     from a file of calls

Kill it and start it again under the same --worker: it goes on where it was.

Flags:
`

// parse reads the command line. SIGNALBOX_API_KEY is the key of a server that wants one.
func parse(args []string, env func(string) string) (options, error) {
	var o options
	set := flag.NewFlagSet("agent", flag.ContinueOnError)
	set.StringVar(&o.address, "address", "127.0.0.1:7411", "`host:port` of Signalbox's gRPC listener")
	set.StringVar(&o.mcp, "mcp", "", "work over MCP at this `URL` instead of gRPC")
	set.StringVar(&o.namespace, "namespace", workflow.Namespace, "namespace of the tasks")
	set.StringVar(&o.agent, "agent", workflow.Agent, "`name` of the agent, as workflows name it")
	set.StringVar(&o.worker, "worker", "", "stable `name` of this worker; required")
	set.IntVar(&o.workers, "workers", 1, "how many tasks to work on at a time; with more than 1 the workers are NAME-1, NAME-2 …")
	set.StringVar(&o.calls, "calls", "", "work from this `file` of calls; the task's argument \"case\" names an entry of it")
	set.BoolVar(&o.verbose, "verbose", false, "log what is waited for, too")
	if err := program.Parse(set, usage, args); err != nil {
		return options{}, err
	}
	if o.worker == "" {
		return options{}, errors.New("--worker is required: a name that stays the same when the agent is started again")
	}
	if o.workers < 1 {
		return options{}, fmt.Errorf("--workers is %d; give 1 or more", o.workers)
	}
	o.key = env("SIGNALBOX_API_KEY")
	return o, nil
}
