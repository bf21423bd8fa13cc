package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

func (a *App) workflowCommand() *cobra.Command {
	return a.client("workflow", "Check, hand over and look at workflows",
		`A workflow is handed over as a definition: one immutable version of it, in YAML or JSON. Handing the same one over again changes
nothing; a change needs a new metadata.version.`,
		a.workflowLint, a.workflowApply, a.workflowList, a.workflowShow, a.workflowGraph, a.workflowDiff)
}

func (a *App) workflowApply(s *suite) *cobra.Command {
	check := false
	cmd := &cobra.Command{
		Use:   "apply FILE…",
		Short: "Hand definitions over to the suite",
		Long: `Checks each definition against the tools of the suite and keeps it. A definition with errors is refused with every finding;
warnings are told and kept with it. The file - is standard input.

A definition that names no namespace goes to that of --namespace; one that names another is refused.`,
		Example: `  signalbox workflow apply hello.yaml
  signalbox workflow apply workflows/*.yaml
  signalbox workflow apply --check hello.yaml     # would it be accepted?`,
		Args: some("FILE"),
	}
	cmd.Flags().BoolVar(&check, "check", false, "only check, keep nothing")
	cmd.RunE = s.runE(func(ctx context.Context, files []string) error {
		for _, file := range files {
			if err := a.apply(ctx, s, file, check); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}

func (a *App) apply(ctx context.Context, s *suite, file string, check bool) error {
	source, err := readFile(file, a.In)
	if err != nil {
		return errs.Invalid("FILE", "%v", err)
	}
	ctx, cancel := s.brief(ctx)
	defer cancel()
	response, err := gatewayv1.NewAgentServiceClient(s.conn("gateway")).ApplyWorkflow(ctx,
		&gatewayv1.ApplyWorkflowRequest{Source: source, File: file, ValidateOnly: check, Namespace: s.askedNamespace()})
	if err != nil {
		return a.everyFinding(file, err)
	}
	kept := response.GetRegistration()
	return a.say(kept, func() string {
		var text strings.Builder
		for _, finding := range kept.GetFindings() {
			fmt.Fprintln(&text, render.Finding(finding))
		}
		version := kept.GetDefinition()
		switch {
		case check:
			fmt.Fprintf(&text, "%s is fit to be applied", file)
		case kept.GetCreated():
			fmt.Fprintf(&text, "%s@%s applied from %s", version.GetName(), version.GetVersion(), file)
		default:
			fmt.Fprintf(&text, "%s@%s is unchanged", version.GetName(), version.GetVersion())
		}
		return text.String()
	})
}

// everyFinding tells people all that is wrong with a definition; the message itself stops after a few. Programs have it in the fields.
func (a *App) everyFinding(file string, err error) error {
	refusal, ok := errs.From(err)
	if !ok || refusal.Reason() != errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID || len(refusal.Fields()) == 0 || a.output.JSON() {
		return err
	}
	lines := []string{file + " is refused:"}
	for _, finding := range refusal.Fields() {
		lines = append(lines, finding.Problem)
	}
	return errs.New(refusal.Reason(), "%s", strings.Join(lines, "\n"))
}

func (a *App) workflowList(s *suite) *cobra.Command {
	var page pageFlags
	all := false
	cmd := &cobra.Command{
		Use:   "list [WORKFLOW]",
		Short: "List workflows, newest first",
		Long: `Lists the highest version of each workflow, or with --all-versions every version: which events start it, which signals it takes, which
sub-workflows it runs, and how many versions there are.`,
		Example: `  signalbox workflow list
  signalbox workflow list order-status --all-versions`,
		Args: between(0, "WORKFLOW"),
	}
	cmd.Flags().BoolVar(&all, "all-versions", false, "list every version, not only the highest of each workflow")
	page.bind(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		ctx, cancel := s.brief(ctx)
		defer cancel()
		request := &statev1.ListDefinitionsRequest{Namespace: s.namespace(), LatestOnly: !all, PageSize: page.size, PageToken: page.token}
		if len(args) > 0 {
			request.Name = args[0]
		}
		response, err := statev1.NewDefinitionServiceClient(s.conn("state")).ListDefinitions(ctx, request)
		if err != nil {
			return err
		}
		defer a.pageNote(response.GetNextPageToken())
		versions := map[string]string{}
		if !all && !a.output.JSON() {
			for _, d := range response.GetDefinitions() {
				versions[d.GetName()] = fmt.Sprint(len(s.versions(ctx, d.GetName())))
			}
		}
		return a.table(response, "no workflows; hand one over with `signalbox workflow apply FILE`",
			[]string{"workflow", "version", "versions", "applied", "states", "triggers", "signals", "sub-workflows", "tools", "warnings"}, func() [][]string {
				var rows [][]string
				for _, d := range response.GetDefinitions() {
					rows = append(rows, a.workflowRow(d, versions[d.GetName()]))
				}
				return rows
			})
	})
	return cmd
}

func (a *App) workflowRow(d *statev1.DefinitionVersion, versions string) []string {
	def := d.GetDefinition()
	var started, run []string
	for _, t := range def.GetTriggers() {
		started = append(started, t.GetEvent().GetType())
	}
	for _, sub := range render.SubWorkflows(def) {
		run = append(run, sub.GetName()+"@"+sub.GetVersion())
	}
	return []string{
		d.GetName(), d.GetVersion(), versions, render.Ago(d.GetCreateTime().AsTime(), a.Clock.Now()), fmt.Sprint(len(def.GetStates())),
		strings.Join(started, ", "), strings.Join(sortedKeys(def.GetSignals()), ", "), strings.Join(run, ", "), fmt.Sprint(len(d.GetTools())),
		fmt.Sprint(len(d.GetFindings())),
	}
}

// mostVersions is how many versions of a workflow are looked at to tell them.
const mostVersions = 500

// versions are the versions of a workflow, highest first. They are said beside what was asked for: that they cannot be had is no error.
func (s *suite) versions(ctx context.Context, name string) []string {
	response, err := statev1.NewDefinitionServiceClient(s.conn("state")).ListDefinitions(ctx,
		&statev1.ListDefinitionsRequest{Namespace: s.namespace(), Name: name, PageSize: mostVersions})
	if err != nil {
		return nil
	}
	var out []string
	for _, d := range response.GetDefinitions() {
		out = append(out, d.GetVersion())
	}
	return out
}

func (a *App) workflowShow(s *suite) *cobra.Command {
	source := false
	cmd := &cobra.Command{
		Use:   "show WORKFLOW[@VERSION]",
		Short: "Show a definition",
		Long: `Shows a definition: what it asks for, what starts it and which signals it takes, its states with their steps, the sub-workflows that it runs,
the tools it calls and what is known of them, and which versions there are. Without a version: the highest.`,
		Example: `  signalbox workflow show order-status
  signalbox workflow show order-status@1.0.0 --source > hello.yaml`,
		Args: Exactly("WORKFLOW"),
	}
	cmd.Flags().BoolVar(&source, "source", false, "print the definition as its author wrote it, and nothing else")
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		name, version, err := nameAndVersion(args[0])
		if err != nil {
			return err
		}
		definition, err := s.getDefinition(ctx, name, version)
		if err != nil {
			return err
		}
		if source && !a.output.JSON() {
			_, err := a.Out.Write(definition.GetSource())
			return err
		}
		return a.say(definition, func() string {
			ctx, cancel := s.brief(ctx)
			defer cancel()
			return render.Definition(definition, s.versions(ctx, name), a.Clock.Now())
		})
	})
	return cmd
}

func (p *pageFlags) bind(cmd *cobra.Command) {
	cmd.Flags().Int32Var(&p.size, "page-size", 0, "most entries to print (default: the service's)")
	cmd.Flags().StringVar(&p.token, "page-token", "", "go on where the last page ended: the `token` that it printed")
}
