package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"time"

	"github.com/signalbox-dev/signalbox/examples/stage"
	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
	"github.com/signalbox-dev/signalbox/examples/support-desk/mailsink"
	"github.com/signalbox-dev/signalbox/examples/support-desk/person"
	"github.com/signalbox-dev/signalbox/examples/support-desk/seed"
	"github.com/signalbox-dev/signalbox/examples/support-desk/workflow"
)

// demo is everything on the stage.
type demo struct {
	opts options
	page *stage.Page
	box  *stage.Box
	read *stage.Reader
	rand *rand.Rand
	bag  *mailbag

	sink    *mailsink.Sink
	desk    *stage.Program
	control string // of the desk
	agents  []*stage.Program
	letters []*letter // whose start was acknowledged
}

// The people, who answer in their own names, and what they are asked as.
const (
	lead         = "Lea"
	roleLead     = "support-lead"
	second       = "Sam"
	roleSecond   = "support-l2"
	payments     = "Pat"
	rolePayments = "payments-oncall"
)

// pace is how long each call of the desk takes, so that there is something to see and to interrupt.
const pace = 80 * time.Millisecond

// open builds and starts everything.
func (d *demo) open(ctx context.Context) error {
	p := d.page
	p.Print(p.Bold("Signalbox: a support desk at work, with crashes in the middle") + "\n")
	again := fmt.Sprintf("make demo DEMO_ARGS='--seed %d'", d.opts.seed)
	p.Print(p.Dim(fmt.Sprintf("seed %d: it decides who writes what, and when processes are killed. The same again: %s", d.opts.seed, again)) + "\n")
	p.Section("The stage is set", "")
	const programs = "github.com/signalbox-dev/signalbox/examples/support-desk/cmd/"
	if err := d.box.Build(ctx, programs+"desk", programs+"agent"); err != nil {
		return err
	}
	mcp, err := d.openShop(ctx)
	if err != nil {
		return err
	}
	config, err := workflow.ServerConfig(workflow.Server, mcp)
	if err != nil {
		return err
	}
	if d.read, err = d.box.StartSuite(ctx, config, workflow.Namespace); err != nil {
		return err
	}
	if err := d.box.Register(ctx, workflow.File, workflow.Source()); err != nil {
		return err
	}
	return d.openOffice(ctx)
}

// openShop makes the shop, and starts the desk before it and a mail server behind it. It returns where the desk serves MCP.
func (d *demo) openShop(ctx context.Context) (mcp string, err error) {
	data, what := d.opts.data, "a shop of your own"
	if data == "" {
		data, what = filepath.Join(d.box.Dir, "shop"), "the sample shop"
		if err := seed.Write(data, d.opts.seed); err != nil {
			return "", err
		}
	}
	if data, err = filepath.Abs(data); err != nil {
		return "", err
	}
	if d.bag, err = openMailbag(data, d.rand); err != nil {
		return "", err
	}
	if d.sink, err = mailsink.Start("127.0.0.1:0", io.Discard); err != nil {
		return "", err
	}
	d.box.AtEnd(d.sink.Close)
	if d.desk, mcp, d.control, err = d.box.Serve(ctx, "desk", "--db", d.shopFile(), "--data", data, "--smtp", d.sink.Addr()); err != nil {
		return "", err
	}
	if err := d.arm(ctx, faults.Rule{ID: "pace", Kind: faults.Latency, Tool: "*", LatencyMS: int(pace.Milliseconds())}); err != nil {
		return "", err
	}
	d.page.Line("%s has %d customers and %d orders; its desk is an MCP server (pid %d) over one SQLite file, and sends real mail to a sink",
		what, len(d.bag.users), len(d.bag.orders), d.desk.PID())
	d.page.More("every call of the desk takes %s, so that there is something to interrupt", stage.Took(pace))
	return mcp, nil
}

func (d *demo) shopFile() string { return filepath.Join(d.box.Dir, "shop.db") }

// openOffice starts two agents, one over gRPC and one over MCP, and lets the lead begin their work.
func (d *demo) openOffice(ctx context.Context) error {
	path := filepath.Join(d.box.Bin, "agent")
	d.agents = []*stage.Program{
		{Name: "ada", Path: path, Args: []string{"--worker", "ada", "--workers", "2", "--verbose", "--address", d.box.Suite.Address("gateway")}},
		{Name: "max", Path: path, Args: []string{"--worker", "max", "--workers", "2", "--verbose", "--mcp", d.box.Suite.MCPURL()}},
	}
	for _, a := range d.agents {
		if err := d.box.Start(ctx, a); err != nil {
			return err
		}
	}
	d.page.Line("two agents wait for tasks, two at a time: ada over gRPC (pid %d), max over MCP (pid %d)", d.agents[0].PID(), d.agents[1].PID())
	d.page.More("they follow rules where real ones ask a model. Lea, the support lead, and Pat of payments are at their inboxes; Sam of the second line comes later")
	return errors.Join(d.atWork(lead, roleLead), d.atWork(payments, rolePayments))
}

// atWork lets a person answer their inbox until the end.
func (d *demo) atWork(name, role string) error {
	p, err := d.somebody(name, role)
	if err != nil {
		return err
	}
	d.box.Go(p.Run)
	return nil
}

func (d *demo) somebody(name, role string) (*person.Person, error) {
	inbox, err := d.box.Suite.Conn("escalation")
	if err != nil {
		return nil, err
	}
	gateway, err := d.box.Suite.Conn("gateway")
	if err != nil {
		return nil, err
	}
	return &person.Person{
		Name: name, Role: role, Namespace: workflow.Namespace, Conn: inbox, Shop: person.Shop{Conn: gateway, Server: workflow.Server},
		Log: slog.New(slog.DiscardHandler),
	}, nil
}

// arm arms a fault of the desk.
func (d *demo) arm(ctx context.Context, rule faults.Rule) error {
	return d.ask(ctx, http.MethodPost, "/faults", rule)
}

// disarm switches a fault off.
func (d *demo) disarm(ctx context.Context, id string) error {
	return d.ask(ctx, http.MethodDelete, "/faults?id="+id, nil)
}

func (d *demo) ask(ctx context.Context, method, path string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, d.control+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the desk's control endpoint: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= http.StatusMultipleChoices {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return fmt.Errorf("the desk's control endpoint: %s %s: %s %s", method, path, resp.Status, text)
	}
	return nil
}
