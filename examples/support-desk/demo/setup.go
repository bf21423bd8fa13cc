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
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/examples/stage"

	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
	"github.com/signalbox-dev/signalbox/examples/support-desk/mailsink"
	"github.com/signalbox-dev/signalbox/examples/support-desk/person"
	"github.com/signalbox-dev/signalbox/examples/support-desk/seed"
	"github.com/signalbox-dev/signalbox/examples/support-desk/workflow"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// demo is everything on the stage.
type demo struct {
	opts options
	page *stage.Page
	rand *rand.Rand
	dir  string
	bag  *mailbag

	sink        *mailsink.Sink
	desk        *stage.Program
	deskControl string
	agents      []*stage.Program
	suite       *suite.Suite
	read        *reader
	letters     []*letter // whose start was acknowledged

	people     sync.WaitGroup
	peopleStop context.CancelFunc
}

func newDemo(o options) *demo {
	return &demo{opts: o, page: stage.NewPage(os.Stdout), rand: rand.New(rand.NewPCG(o.seed, 0x6465_6d6f))}
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
func (d *demo) open(ctx context.Context) (err error) {
	p := d.page
	p.Print(p.Bold("Signalbox: a support desk at work, with crashes in the middle") + "\n")
	again := fmt.Sprintf("make demo DEMO_ARGS='--seed %d'", d.opts.seed)
	p.Print(p.Dim(fmt.Sprintf("seed %d: it decides who writes what, and when processes are killed. The same again: %s", d.opts.seed, again)) + "\n")
	p.Section("The stage is set", "")
	if d.dir, err = os.MkdirTemp("", "signalbox-demo-"); err != nil {
		return err
	}
	bin, err := d.build(ctx)
	if err != nil {
		return err
	}
	if err := d.openShop(ctx, bin); err != nil {
		return err
	}
	if err := d.openSuite(ctx, bin); err != nil {
		return err
	}
	return d.openOffice(ctx, bin)
}

// build builds the programs, unless a folder with them was given.
func (d *demo) build(ctx context.Context) (string, error) {
	if d.opts.bin != "" {
		return filepath.Abs(d.opts.bin)
	}
	bin := filepath.Join(d.dir, "bin")
	if err := os.Mkdir(bin, 0o750); err != nil {
		return "", err
	}
	began := d.page.Age()
	if _, err := suite.Build(ctx, bin); err != nil {
		return "", err
	}
	const programs = "github.com/signalbox-dev/signalbox/examples/support-desk/cmd/"
	for _, name := range []string{"desk", "agent"} {
		if _, err := suite.BuildProgram(ctx, bin, programs+name); err != nil {
			return "", err
		}
	}
	d.page.Line("signalbox, desk and agent are built (%s)", stage.Took(d.page.Age()-began))
	return bin, nil
}

// openShop makes the shop, and starts the desk before it and a mail server behind it.
func (d *demo) openShop(ctx context.Context, bin string) error {
	data, what := d.opts.data, "a shop of your own"
	if data == "" {
		data, what = filepath.Join(d.dir, "shop"), "the sample shop"
		if err := seed.Write(data, d.opts.seed); err != nil {
			return err
		}
	}
	data, err := filepath.Abs(data)
	if err != nil {
		return err
	}
	if d.bag, err = openMailbag(data, d.rand); err != nil {
		return err
	}
	if d.sink, err = mailsink.Start("127.0.0.1:0", io.Discard); err != nil {
		return err
	}
	addrs, err := suite.Addresses(2)
	if err != nil {
		return err
	}
	d.deskControl = "http://" + addrs[1]
	d.desk = &stage.Program{
		Name: "desk", Path: filepath.Join(bin, "desk"), Dir: d.dir, Health: d.deskControl + "/healthz",
		Args: []string{"--db", d.shopFile(), "--data", data, "--http", addrs[0], "--control", addrs[1], "--smtp", d.sink.Addr()},
	}
	if err := d.desk.Start(ctx); err != nil {
		return err
	}
	if err := d.arm(ctx, faults.Rule{ID: "pace", Kind: faults.Latency, Tool: "*", LatencyMS: int(pace.Milliseconds())}); err != nil {
		return err
	}
	d.page.Line("%s has %d customers and %d orders; its desk is an MCP server (pid %d) over one SQLite file, and sends real mail to a sink",
		what, len(d.bag.users), len(d.bag.orders), d.desk.PID())
	d.page.More("every call of the desk takes %s, so that there is something to interrupt", stage.Took(pace))
	return nil
}

func (d *demo) shopFile() string { return filepath.Join(d.dir, "shop.db") }

// openSuite starts Signalbox and hands the workflow over.
func (d *demo) openSuite(ctx context.Context, bin string) error {
	config, err := workflow.ServerConfig(workflow.Server, "http://"+d.desk.Args[slices.Index(d.desk.Args, "--http")+1]+"/mcp")
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	began := d.page.Age()
	s, err := suite.Start(within, suite.Options{Binary: filepath.Join(bin, "signalbox"), Dir: d.dir, Topology: d.opts.topology, Config: config})
	if err != nil {
		return err
	}
	d.suite = s
	if d.read, err = newReader(s); err != nil {
		return err
	}
	d.page.Line("Signalbox is ready after %s, with embedded etcd and SQLite in a fresh folder: %s", stage.Took(d.page.Age()-began), d.cast())
	resp, err := stage.Insist(ctx, func(ctx context.Context) (*gatewayv1.ApplyWorkflowResponse, error) {
		return d.read.Agents.ApplyWorkflow(ctx, &gatewayv1.ApplyWorkflowRequest{Source: workflow.Source(), File: workflow.File})
	})
	if err != nil {
		return err
	}
	def := resp.GetRegistration().GetDefinition()
	d.page.Line("workflow %s/%s %s is checked against the desk's tools and registered: %s", def.GetNamespace(), def.GetName(), def.GetVersion(),
		stage.Count(len(resp.GetRegistration().GetFindings()), "finding", "findings"))
	return nil
}

// cast names the processes of the suite.
func (d *demo) cast() string {
	var names []string
	for _, p := range d.suite.Processes() {
		names = append(names, fmt.Sprintf("%s (pid %d)", p.Name, p.PID()))
	}
	return strings.Join(names, ", ")
}

// openOffice starts two agents, one over gRPC and one over MCP, and lets the lead begin their work.
func (d *demo) openOffice(ctx context.Context, bin string) error {
	path := filepath.Join(bin, "agent")
	d.agents = []*stage.Program{
		{Name: "ada", Path: path, Dir: d.dir, Args: []string{"--worker", "ada", "--workers", "2", "--verbose", "--address", d.suite.Address("gateway")}},
		{Name: "max", Path: path, Dir: d.dir, Args: []string{"--worker", "max", "--workers", "2", "--verbose", "--mcp", d.suite.MCPURL()}},
	}
	for _, a := range d.agents {
		if err := a.Start(ctx); err != nil {
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
	ctx, stop := context.WithCancel(context.Background())
	if before := d.peopleStop; before != nil {
		d.peopleStop = func() { before(); stop() }
	} else {
		d.peopleStop = stop
	}
	d.people.Go(func() { p.Run(ctx) })
	return nil
}

func (d *demo) somebody(name, role string) (*person.Person, error) {
	inbox, err := d.suite.Conn("escalation")
	if err != nil {
		return nil, err
	}
	gateway, err := d.suite.Conn("gateway")
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
	return d.control(ctx, http.MethodPost, "/faults", rule)
}

// disarm switches a fault off.
func (d *demo) disarm(ctx context.Context, id string) error {
	return d.control(ctx, http.MethodDelete, "/faults?id="+id, nil)
}

func (d *demo) control(ctx context.Context, method, path string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, d.deskControl+path, bytes.NewReader(raw))
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

// close ends everything that was started, by its process id, and removes the folder unless something failed.
func (d *demo) close(failed bool) error {
	if d.peopleStop != nil {
		d.peopleStop()
	}
	d.people.Wait()
	for _, a := range d.agents {
		a.Stop()
	}
	var all []error
	if d.suite != nil {
		all = append(all, d.suite.Stop())
	}
	if d.desk != nil {
		d.desk.Stop()
	}
	if d.sink != nil {
		all = append(all, d.sink.Close())
	}
	switch {
	case d.dir == "":
	case d.opts.keep || failed:
		d.page.Print(fmt.Sprintf("\nData and logs stay in %s\n", d.dir))
	default:
		all = append(all, os.RemoveAll(d.dir))
	}
	return errors.Join(all...)
}
