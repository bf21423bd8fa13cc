package command

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

// dryRunFlags say what a dry run takes for granted, and what goes wrong in it.
type dryRunFlags struct {
	dry                                bool
	fails, undoFails, outputs, decides []string
	fromRun                            string
	callReads                          bool
}

// dryRunOnly are the flags that mean nothing to a run that is really started.
var dryRunOnly = []string{"fail", "fail-undo", "step-output", "decide", "from-run", "call-reads"}

func (f *dryRunFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.dry, "dry-run", false, "run it in memory: nothing is written, and nothing but READ tools is called, if asked for")
	flags.StringArrayVar(&f.fails, "fail", nil, "dry run: attempts of a step fail, as `STEP=TYPE[:TIMES]`; without TIMES all of them; may be repeated")
	flags.StringArrayVar(&f.undoFails, "fail-undo", nil, "dry run: attempts of a step's undo fail, as `STEP=TYPE[:TIMES]`; may be repeated")
	flags.StringArrayVar(&f.outputs, "step-output", nil, "dry run: the output of a step, as `STEP=JSON`; may be repeated")
	flags.StringArrayVar(&f.decides, "decide", nil, "dry run: the decision at a human gate, as `STEP=DECISION` (default: its first); may be repeated")
	flags.StringVar(&f.fromRun, "from-run", "", "dry run: take outputs that this `run` has recorded")
	flags.BoolVar(&f.callReads, "call-reads", false, "dry run: really call READ tools")
}

// dryRun runs a workflow, or a definition in a file, without any effect, and prints the path that it takes.
func (a *App) dryRun(ctx context.Context, s *suite, cmd *cobra.Command, start *schedulerv1.StartRunRequest, file string, flags *dryRunFlags) error {
	if file != "" && cmd.Flags().Changed("version") {
		return misuse(cmd, "--version is for registered workflows; the version of %s is in it", file)
	}
	for _, name := range []string{"wait", "watch", "for", "run-id", "request-id"} {
		if cmd.Flags().Changed(name) {
			return misuse(cmd, "--%s means nothing to a dry run, which starts no run", name)
		}
	}
	request, err := flags.request()
	if err != nil {
		return err
	}
	request.Namespace, request.Input = start.GetNamespace(), start.GetInput()
	if file == "" {
		request.Workflow, request.Version = start.GetWorkflow(), start.GetVersion()
	} else {
		request.File = file
		if request.Source, err = readFile(file, a.In); err != nil {
			return errs.Invalid("WORKFLOW", "%v", err)
		}
		if len(request.GetSource()) == 0 {
			return errs.Invalid("WORKFLOW", "%s is empty; begin with `api_version: signalbox/v1`", file)
		}
	}
	ctx, cancel := s.brief(ctx)
	defer cancel()
	response, err := s.control().DryRun(ctx, request)
	if err != nil {
		if file != "" {
			return a.everyFinding(file, err)
		}
		return err
	}
	return a.tellDryRun(response)
}

// request makes the call of the flags.
func (f *dryRunFlags) request() (*schedulerv1.DryRunRequest, error) {
	out := &schedulerv1.DryRunRequest{OutputsOfRun: f.fromRun, CallReads: f.callReads, Outputs: map[string][]byte{}, Decisions: map[string]string{}}
	for _, text := range f.fails {
		failure, err := injected("fail", text, false)
		if err != nil {
			return nil, err
		}
		out.Failures = append(out.Failures, failure)
	}
	for _, text := range f.undoFails {
		failure, err := injected("fail-undo", text, true)
		if err != nil {
			return nil, err
		}
		out.Failures = append(out.Failures, failure)
	}
	for _, text := range f.outputs {
		step, value, err := stepPair("step-output", text, "STEP=JSON")
		if err != nil {
			return nil, err
		}
		if !json.Valid([]byte(value)) {
			return nil, errs.Invalid("step-output", "the output of step %q is not JSON: %v", step, checkJSON([]byte(value)))
		}
		out.Outputs[step] = []byte(value)
	}
	for _, text := range f.decides {
		step, decision, err := stepPair("decide", text, "STEP=DECISION")
		if err != nil {
			return nil, err
		}
		out.Decisions[step] = decision
	}
	return out, nil
}

// stepPair takes STEP=… apart.
func stepPair(flag, text, form string) (step, value string, err error) {
	step, value, ok := strings.Cut(text, "=")
	if !ok || step == "" || value == "" {
		return "", "", errs.Invalid(flag, "%q is not of the form %s", text, form)
	}
	return step, value, nil
}

// injected reads STEP=TYPE[:TIMES].
func injected(flag, text string, undo bool) (*schedulerv1.InjectedFailure, error) {
	step, rest, err := stepPair(flag, text, "STEP=TYPE[:TIMES]")
	if err != nil {
		return nil, err
	}
	kind, times, counted := strings.Cut(rest, ":")
	if _, ok := errtype.Parse(kind); !ok {
		names := errtype.Names()
		return nil, errs.Invalid(flag, "%q is no type of error%s; they are %s", kind, nearest.Hint(kind, names), strings.Join(names, ", "))
	}
	failure := &schedulerv1.InjectedFailure{StepId: step, Type: kind, Undo: undo}
	if counted {
		n, err := strconv.ParseUint(times, 10, 32)
		if err != nil || n == 0 {
			return nil, errs.Invalid(flag, "%q is no number of attempts; give one above 0, or leave :TIMES out to have all fail", times)
		}
		failure.Times = uint32(n)
	}
	return failure, nil
}

// tellDryRun prints the path that a dry run took, how it ended and where its outputs came from.
func (a *App) tellDryRun(response *schedulerv1.DryRunResponse) error {
	run := response.GetRun()
	ended := run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED
	if a.output.JSON() {
		if err := a.output.Print(render.Document(response), nil); err != nil {
			return err
		}
	} else if err := a.dryRunText(response, ended); err != nil {
		return err
	}
	switch {
	case !ended:
		return cli.WithExit(cli.ExitTimeout, nil)
	case !planned(run):
		return cli.WithExit(cli.ExitRunFailed, nil)
	default:
		return nil
	}
}

func (a *App) dryRunText(response *schedulerv1.DryRunResponse, ended bool) error {
	narrator := render.NewNarrator()
	for _, event := range response.GetEvents() {
		if err := a.event(narrator, event); err != nil {
			return err
		}
	}
	run := response.GetRun()
	text := "\nwould wait in " + run.GetState()
	if ended {
		text = "\nwould end " + a.endLine(run, render.Payload(response.GetResult()))
	}
	if _, err := fmt.Fprintln(a.Out, text); err != nil {
		return err
	}
	for _, wait := range response.GetWaits() {
		line := fmt.Sprintf("  %s waits for %s", wait.GetStepPath(), wait.GetWhat())
		if wait.GetOwner() != "" {
			line += ", which " + wait.GetOwner() + " can end"
		}
		if _, err := fmt.Fprintln(a.Out, render.Clean(line)); err != nil {
			return err
		}
	}
	return a.dryRunSources(response)
}

// dryRunSources says where outputs came from, in the order in which the steps had them.
func (a *App) dryRunSources(response *schedulerv1.DryRunResponse) error {
	if len(response.GetSources()) == 0 {
		return nil
	}
	steps := sortedKeys(response.GetSources())
	records := response.GetRun().GetSteps()
	slices.SortStableFunc(steps, func(x, y string) int {
		return int(records[x].GetOutputSequence()) - int(records[y].GetOutputSequence())
	})
	if _, err := fmt.Fprintln(a.Out); err != nil {
		return err
	}
	return a.output.Print(nil, func() cli.Table {
		table := cli.Table{Columns: []string{"step", "its output is"}}
		for _, step := range steps {
			table.Rows = append(table.Rows, []string{step, sourceWords(response.GetSources()[step])})
		}
		return table
	})
}

// sourceWords says where an output came from.
func sourceWords(source string) string {
	words, ok := map[string]string{
		"given": "as given here", "recorded": "as the other run recorded it", "dry_run_output": "the dry_run_output of the definition", "sample": "made from its schema",
		"called": "what the tool answered",
	}[source]
	if !ok {
		return source
	}
	return words
}
