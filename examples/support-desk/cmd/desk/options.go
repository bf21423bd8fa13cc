package main

import (
	"errors"
	"flag"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/examples/program"
	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
)

// options are what flags and environment say.
type options struct {
	db, data, smtp, http, control, token string
	stdio, stateless, sse                bool
	sessionTimeout, grace                time.Duration
	faults                               []faults.Rule
}

const usage = `desk: the support desk's MCP tool server

  desk --data DIR --http 127.0.0.1:7701 --control 127.0.0.1:7702
  desk --db shop.db --stdio

Flags:
`

// parse reads the command line. DESK_FAULTS (rules separated by blanks or semicolons) arms faults before those of --fault;
// DESK_TOKEN, if set, is the bearer token that MCP requests must carry.
func parse(args []string, env func(string) string) (options, error) {
	var o options
	var rules []string
	set := flag.NewFlagSet("desk", flag.ContinueOnError)
	set.StringVar(&o.db, "db", "support-desk.db", "the shop's SQLite `file`; made when absent")
	set.StringVar(&o.data, "data", "", "`folder` of users.json, orders.json, products.json, policy.md; loaded if the shop is empty")
	set.StringVar(&o.smtp, "smtp", "", "`host:port` of the mail server; empty: send_confirmation is refused")
	set.StringVar(&o.http, "http", "", "serve MCP over streamable HTTP on this `host:port`, path /mcp")
	set.BoolVar(&o.stdio, "stdio", false, "serve MCP over standard input and output")
	set.BoolVar(&o.stateless, "stateless", false, "serve each HTTP request by itself (and protocol 2026-07-28), without sessions")
	set.BoolVar(&o.sse, "sse", false, "answer HTTP requests with text/event-stream instead of application/json")
	set.DurationVar(&o.sessionTimeout, "session-timeout", 30*time.Minute, "close HTTP sessions that are idle for so long")
	set.DurationVar(&o.grace, "grace", 2*time.Second, "at SIGTERM, time for requests under way to finish")
	set.StringVar(&o.control, "control", "", "serve the control endpoint on this loopback `host:port`")
	set.Func("fault", "arm a fault `rule`, for example kind=exit-after,tool=cancel_*,count=1 (repeatable)", func(text string) error {
		rules = append(rules, text)
		return nil
	})
	for _, kind := range faults.Kinds() {
		set.Func("fault-"+string(kind), "arm a fault of this kind; `rule` as of --fault without kind, for example tool=cancel_*,count=1", func(text string) error {
			rules = append(rules, "kind="+string(kind)+","+text)
			return nil
		})
	}
	if err := program.Parse(set, usage, args); err != nil {
		return options{}, err
	}
	if (o.http == "") == !o.stdio {
		return options{}, errors.New("give either --http host:port or --stdio")
	}
	o.token = env("DESK_TOKEN")
	armed := strings.FieldsFunc(env("DESK_FAULTS"), func(r rune) bool { return r == ';' || r == ' ' })
	for _, text := range append(armed, rules...) {
		rule, err := faults.Parse(text)
		if err != nil {
			return options{}, err
		}
		o.faults = append(o.faults, rule)
	}
	return o, nil
}
