package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/boot/config"
	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
)

// Variables of the environment that only clients read.
const (
	addressVariable   = "SIGNALBOX_ADDRESS"
	namespaceVariable = "SIGNALBOX_NAMESPACE"
)

// defaultTimeout bounds a call that is answered at once by a suite that is well.
const defaultTimeout = 30 * time.Second

// clientFlags says whom a command speaks to.
type clientFlags struct {
	address, namespace, configFile, keyFile string
	timeout                                 time.Duration
}

// set returns the flags.
func (f *clientFlags) set() *pflag.FlagSet {
	flags := pflag.NewFlagSet("client", pflag.ContinueOnError)
	flags.StringVar(&f.address, "address", "", "gRPC `address` of the suite (default: "+addressVariable+", else the configuration's, else 127.0.0.1:7411)")
	flags.StringVar(&f.namespace, "namespace", "", "namespace (default: "+namespaceVariable+", else \"default\")")
	flags.StringVar(&f.keyFile, "api-key-file", "", "`file` with the API key (default: SIGNALBOX_AUTH_API_KEY or SIGNALBOX_AUTH_API_KEY_FILE, else the configuration's)")
	flags.StringVar(&f.configFile, "config", "", "configuration `file` (default: signalbox.yaml if it exists)")
	flags.DurationVar(&f.timeout, "timeout", defaultTimeout, "longest time for one call that does not wait for a run")
	return flags
}

// client makes a group of commands that speak to a suite. Each member gets the suite when it runs.
func (a *App) client(use, short, long string, members ...func(*suite) *cobra.Command) *cobra.Command {
	s := &suite{app: a}
	commands := make([]*cobra.Command, 0, len(members))
	for _, member := range members {
		commands = append(commands, member(s))
	}
	cmd := group(use, short, long, commands...)
	cmd.PersistentFlags().AddFlagSet(s.flags.set())
	return cmd
}

// suite is the running suite that a command speaks to.
type suite struct {
	app   *App
	flags clientFlags

	directory *rpcclient.Directory
	address   string            // of every service that has none of its own
	origin    string            // where the address came from
	addresses map[string]string // by service
	met       bool              // it has answered this command
}

// services are those that commands speak to.
var services = []string{"state", "scheduler", "lock", "recovery", "escalation", "gateway"}

// runE opens the suite for a command and closes it afterwards. Nothing is connected before the first call.
func (s *suite) runE(work func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := s.open(); err != nil {
			return err
		}
		err := work(cmd.Context(), args)
		// What was asked for has been said; a connection that does not close well changes nothing.
		_ = s.directory.Close()
		return err
	}
}

func (s *suite) open() error {
	loaded, err := config.Load(config.Sources{File: s.flags.configFile, Env: s.app.Environ})
	if err = onlyOurs(err); err != nil {
		return err
	}
	key, err := s.key(loaded)
	if err != nil {
		return err
	}
	s.findAddresses(loaded)
	s.directory, err = rpcclient.NewDirectory(rpcclient.DirectoryOptions{
		Addresses: s.addresses, Credentials: rpcclient.Credentials{APIKey: key},
	})
	return err
}

// onlyOurs leaves out problems of tool servers: a client does not start them, and often lacks the variables that they name.
func onlyOurs(err error) error {
	refusal, ok := errs.From(err)
	if !ok {
		return err
	}
	for _, field := range refusal.Fields() {
		if !strings.HasPrefix(field.Field, "servers.") {
			return err
		}
	}
	return nil
}

func (s *suite) key(loaded *config.Loaded) (string, error) {
	if s.flags.keyFile == "" {
		return loaded.Auth.Key()
	}
	key, err := config.Auth{APIKeyFile: s.flags.keyFile}.Key()
	if err != nil {
		return "", errs.Invalid("api-key-file", "%s", strings.TrimPrefix(err.Error(), "auth.api_key_file: "))
	}
	return key, nil
}

// findAddresses knows the address of each service: the flag and the variable say where all are, the configuration may say it of
// each one.
func (s *suite) findAddresses(loaded *config.Loaded) {
	s.addresses = map[string]string{}
	s.address, s.origin = s.flags.address, "--address"
	if s.address == "" {
		s.address, s.origin = s.variable(addressVariable), addressVariable
	}
	if s.address != "" {
		for _, service := range services {
			s.addresses[service] = s.address
		}
		return
	}
	s.address, s.origin = loaded.Listen.GRPC, cmp.Or(loaded.Origin("listen.grpc"), "default")
	if strings.HasSuffix(s.address, ":0") {
		s.address, s.origin = config.Default().Listen.GRPC, "default"
	}
	own := loaded.Services.Addresses()
	for _, service := range services {
		s.addresses[service] = cmp.Or(own[service], s.address)
	}
}

func (s *suite) variable(name string) string {
	for _, pair := range s.app.Environ {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

func (s *suite) namespace() string {
	return cmp.Or(s.askedNamespace(), "default")
}

// askedNamespace is the namespace that was asked for; empty: none was.
func (s *suite) askedNamespace() string {
	return cmp.Or(s.flags.namespace, s.variable(namespaceVariable))
}

// conn returns the connection to a service; every error of a call over it is fit for people.
func (s *suite) conn(service string) grpc.ClientConnInterface {
	conn, err := s.directory.For(service)
	return &politeConn{conn: conn, err: err, service: service, address: s.addresses[service], origin: s.origin}
}

// brief bounds a call that does not wait for a run.
func (s *suite) brief(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.flags.timeout)
}

// politeConn turns what the transport says into what to do about it.
type politeConn struct {
	conn                     grpc.ClientConnInterface
	err                      error
	service, address, origin string
}

func (c *politeConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if c.err != nil {
		return c.err
	}
	return c.polite(c.conn.Invoke(ctx, method, args, reply, opts...))
}

func (c *politeConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if c.err != nil {
		return nil, c.err
	}
	stream, err := c.conn.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, c.polite(err)
	}
	return &politeStream{ClientStream: stream, conn: c}, nil
}

type politeStream struct {
	grpc.ClientStream
	conn *politeConn
}

func (s *politeStream) SendMsg(m any) error { return s.conn.polite(s.ClientStream.SendMsg(m)) }
func (s *politeStream) RecvMsg(m any) error { return s.conn.polite(s.ClientStream.RecvMsg(m)) }

// polite leaves refusals of the suite as they are.
func (c *politeConn) polite(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	refusal, ours := errs.From(err)
	switch {
	case ours && refusal.Reason() == errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE && refusal.Unwrap() != nil:
		// Made at this end: the transport is its cause.
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE,
			"nobody answers at %s (%s)%s; start the suite with `signalbox up`, or give its address with --address or %s",
			c.address, c.origin, why(refusal.Unwrap()), addressVariable).With("address", c.address).CausedBy(refusal.Unwrap())
	case ours:
		return err
	case errs.CodeOf(err) == codes.Unimplemented:
		return cli.WithExit(cli.ExitUnavailable, fmt.Errorf(
			"the process at %s (%s) does not run the %s service, or is older than this command; services.%s.address in the configuration says where it is",
			c.address, c.origin, c.service, c.service))
	default:
		return err
	}
}

// why shortens what the transport says to the part that people know.
func why(err error) string {
	text := err.Error()
	for _, known := range slices.Concat(unsent, []string{"i/o timeout", "connection reset"}) {
		if strings.Contains(text, known) {
			return ": " + known
		}
	}
	return ""
}

// unsent are the ways in which a connection fails before anything is sent.
var unsent = []string{"connection refused", "no such host", "no such file or directory", "permission denied"}

// neverArrived tells errors of calls that no server has seen.
func neverArrived(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if slices.ContainsFunc(unsent, func(known string) bool { return strings.Contains(err.Error(), known) }) {
			return true
		}
	}
	return false
}
