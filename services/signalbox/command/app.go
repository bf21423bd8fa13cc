// Package command is the command line of signalbox: the commands that speak to a running suite over gRPC, and the tree that all
// commands hang in.
package command

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// App is what the commands work with. All fields but Servers are required.
type App struct {
	// Version of the binary.
	Version string
	// In is standard input, Out is for what was asked for, Err for everything else.
	In       io.Reader
	Out, Err io.Writer
	// Environ is the environment as of os.Environ.
	Environ []string
	// Clock tells the time that ages are counted from.
	Clock clock.Clock
	// Servers are the commands that run services.
	Servers []*cobra.Command

	format string
	output *cli.Output
}

// Output is where the running command writes. It is there once the flags are read.
func (a *App) Output() *cli.Output { return a.output }

// Run runs the command that args name and returns its exit code, one of pkg/cli.
func Run(ctx context.Context, app *App, args []string) int {
	root := app.Tree()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if ctx.Err() != nil && errs.CodeOf(err) == codes.Canceled {
		return cli.ExitInterrupted // who interrupts needs no word about it
	}
	if app.output == nil {
		// The flags could not be read, or name an output that does not exist: tell people, unless a program asked before that.
		if app.output, _ = cli.NewOutput(app.Out, app.Err, app.format); app.output == nil {
			app.output, _ = cli.NewOutput(app.Out, app.Err, "")
		}
	}
	return app.output.Fail(err)
}

const rootHelp = `Signalbox runs workflows of AI agents durably, through MCP tool servers.

Start everything on this machine, in one process:

  signalbox up

Then, in another terminal, hand over a workflow and run it:

  signalbox workflow apply hello.yaml
  signalbox run start order-status -f order_id=1001 --watch

Commands speak to 127.0.0.1:7411, or to the address in --address, SIGNALBOX_ADDRESS or signalbox.yaml. With -o json they print JSON
for programs: results to standard output, errors to standard error.

Exit codes:
`

var exitCodes = []struct {
	code    int
	meaning string
}{
	{cli.ExitOK, "done; of a run that was waited for: it ended as its author planned"},
	{cli.ExitFailure, "failed in a way that no other code names; the server's log says more"},
	{cli.ExitUsage, "the command line, the configuration or an argument is wrong; nothing was done"},
	{cli.ExitNotFound, "what was named does not exist"},
	{cli.ExitRefused, "understood and refused; checked and found wrong"},
	{cli.ExitUnavailable, "nobody answers, or something that is needed is away for now"},
	{cli.ExitRunFailed, "the run that was waited for FAILED, TIMED_OUT, was CANCELLED or undone"},
	{cli.ExitTimeout, "the time to wait is over; the run goes on"},
	{cli.ExitDiffers, "what was compared differs"},
	{cli.ExitInterrupted, "interrupted"},
}

// Tree returns all commands.
func (a *App) Tree() *cobra.Command {
	long := strings.Builder{}
	long.WriteString(rootHelp)
	for _, exit := range exitCodes {
		fmt.Fprintf(&long, "  %-3d  %s\n", exit.code, exit.meaning)
	}
	root := group("signalbox", "Durable workflows for AI agents", strings.TrimRight(long.String(), "\n"))
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(flagMisuse)
	root.PersistentFlags().StringVarP(&a.format, "output", "o", "table", "how to print: table for people, json for programs")
	root.PersistentPreRunE = func(*cobra.Command, []string) (err error) {
		a.output, err = cli.NewOutput(a.Out, a.Err, a.format)
		return err
	}
	hang(root, "Run services:", a.Servers...)
	hang(root, "Speak to them:", a.workflowCommand(), a.runCommand(), a.scheduleCommand(), a.batchCommand(), a.eventCommand(), a.taskCommand(), a.escalationCommand(), a.lockCommand(),
		a.breakerCommand(), a.toolCommand())
	hang(root, "Other commands:", a.configCommand(), a.versionCommand(), referenceCommand())
	root.SetHelpCommandGroupID("Other commands:")
	root.SetCompletionCommandGroupID("Other commands:")
	return root
}

// hang adds commands under a title.
func hang(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, command := range commands {
		command.GroupID = title
		root.AddCommand(command)
	}
}
