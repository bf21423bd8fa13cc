// Package serving holds the commands that run services: all in one process, or some.
package serving

import (
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/pkg/boot"
	"github.com/signalbox-dev/signalbox/pkg/boot/config"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
	"github.com/signalbox-dev/signalbox/services/signalbox/command"
	"github.com/signalbox-dev/signalbox/services/signalbox/datafolder"
)

// Table is the dependency table of the whole suite.
type Table struct {
	// Modules in the order in which they start when nothing else decides it.
	Modules []boot.Module
	// KeepsData names the modules that keep data under the data folder, given a configuration.
	KeepsData func(config.Config) []string
}

const tuningHelp = `
The garbage collector runs at GOGC=400 unless GOGC is set, which spends memory to save processor time; GOMEMLIMIT is kept to. SIGTERM and
SIGINT drain: new calls are refused, those under way end, for at most shutdown.timeout; a second signal ends the process at once.`

// Up returns the command that runs the whole suite in one process.
func Up(app *command.App, table func() Table) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run everything in one process, with nothing to set up",
		Long: `Runs every service in one process, with an embedded etcd and SQLite under one data folder. Settings come from flags, the environment
and signalbox.yaml; docs/configuration.md explains them. A second process on the same data folder is refused and told who holds it.

Everything listens on loopback. An address that other machines can reach needs auth.api_key.
` + tuningHelp,
		Example: `  signalbox up
  signalbox up --data-dir /var/lib/signalbox --log-format json
  signalbox up --listen-grpc 127.0.0.1:0 --listen-http 127.0.0.1:0 --listen-admin 127.0.0.1:0 -o json   # any free ports`,
		Args: command.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd, app, table(), nil) },
	}
	config.BindFlags(cmd.Flags())
	return cmd
}

// Serve returns the command that runs some services.
func Serve(app *command.App, table func() Table) *cobra.Command {
	names := serviceNames(table().Modules)
	cmd := &cobra.Command{
		Use:   "serve NAME…",
		Short: "Run some services in this process",
		Long: `Runs some services in this process. Those they call and that do not run here need an address each, in services.NAME.address or
--services-NAME-address. The services are: ` + strings.Join(names, ", ") + `.

The order in which processes start does not matter: one that misses another is not ready until that comes.
` + tuningHelp,
		Example: `  signalbox serve state --data-dir /var/lib/signalbox
  signalbox serve gateway --services-state-address 10.0.0.5:7411 --services-scheduler-address 10.0.0.6:7411
  signalbox serve scheduler lock recovery --config deploy/scheduler.yaml`,
		ValidArgs: names,
		Args:      func(_ *cobra.Command, args []string) error { return checkNames(args, names) },
		RunE:      func(cmd *cobra.Command, args []string) error { return run(cmd, app, table(), args) },
	}
	config.BindFlags(cmd.Flags())
	return cmd
}

func serviceNames(modules []boot.Module) []string {
	var names []string
	for _, module := range modules {
		if module.Service {
			names = append(names, module.Name)
		}
	}
	return names
}

func checkNames(given, names []string) error {
	if len(given) == 0 {
		return errs.Invalid("NAME", "name the services to run here, of %s; `signalbox up` runs them all", strings.Join(names, ", "))
	}
	for _, name := range given {
		if !slices.Contains(names, name) {
			return errs.Invalid("NAME", "there is no service %q%s; there are %s", name, nearest.Hint(name, names), strings.Join(names, ", "))
		}
	}
	return nil
}

// run runs modules until the process is told to stop; no names means all of them.
func run(cmd *cobra.Command, app *command.App, table Table, names []string) error {
	loaded, err := app.Load(cmd)
	if err != nil {
		return err
	}
	tuneMemory()
	drawn := drawnIn(table.Modules, names)
	parts := slices.DeleteFunc(table.KeepsData(loaded.Config), func(part string) bool { return !slices.Contains(drawn, part) })
	if len(parts) > 0 {
		folder, err := datafolder.Take(loaded.DataDir, parts, datafolder.Holder{
			Command: strings.Join(append([]string{cmd.CommandPath()}, names...), " "), Address: loaded.Listen.GRPC, Since: app.Clock.Now(),
		})
		if err != nil {
			return err
		}
		defer func() { _ = folder.Close() }() // the kernel does it in any case
	}
	services := slices.DeleteFunc(serviceNames(table.Modules), func(name string) bool { return !slices.Contains(drawn, name) })
	return boot.Run(cmd.Context(), boot.Options{
		Config: loaded.Config, Modules: table.Modules, Only: names, Version: app.Version, LogTo: app.Err, Clock: app.Clock,
		Up: func(at boot.Addresses) {
			announce(app, loaded.Log.Format, greet(app.Version, loaded.Config, services, len(parts) > 0, at, os.Getpid()))
		},
	})
}

// announce says that the process is up: to people on standard error, unless that is a log for programs; to programs on standard
// output. A reader who has gone changes nothing.
func announce(app *command.App, logFormat string, g greeting) {
	switch {
	case app.Output().JSON():
		_ = app.Output().Line(g, nil)
	case logFormat != "json":
		_, _ = io.WriteString(app.Err, g.banner())
	}
}

// drawnIn returns the names of the modules that run when some are asked for: those, and all that they depend on.
func drawnIn(modules []boot.Module, names []string) []string {
	var drawn []string
	var visit func(name string)
	visit = func(name string) {
		for _, module := range modules {
			if module.Name != name || slices.Contains(drawn, name) {
				continue
			}
			drawn = append(drawn, name)
			for _, needed := range module.DependsOn {
				visit(needed)
			}
		}
	}
	if len(names) == 0 {
		for _, module := range modules {
			visit(module.Name)
		}
	}
	for _, name := range names {
		visit(name)
	}
	return drawn
}
