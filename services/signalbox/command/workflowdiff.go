package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/pkg/workflow/diff"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

func (a *App) workflowDiff(s *suite) *cobra.Command {
	lookup := &lookup{}
	var states []string
	cmd := &cobra.Command{
		Use:   "diff FROM TO",
		Short: "Say what differs between two definitions, and whether running runs can move",
		Long: `Compares two definitions and says in words what differs: states, steps, transitions, handlers, schemas, tools, resources and
sub-workflows. Then it says for each state of the first whether runs in it can move to the second, and what stands in the way.

FROM and TO are each a FILE or a registered WORKFLOW[@VERSION]; without a version, the highest. What ends in .yaml or holds a dot or a slash
is a file.

Exit code 0: nothing but the version differs; 8: something does.`,
		Example: `  signalbox workflow diff order-saga@1.0.0 order-saga@2.0.0
  signalbox workflow diff order-saga order-saga.yaml
  signalbox workflow diff order-saga@1.0.0 order-saga --state review=approval -o json | jq '.runs'`,
		Args: Exactly("FROM", "TO"),
	}
	cmd.Flags().StringArrayVar(&states, "state", nil, "a state that has another name now, as `OLD=NEW`; may be repeated")
	cmd.Flags().BoolVar(&lookup.offline, "offline", false, "do not ask a suite for the tools that files name")
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		names, err := stateMap(states)
		if err != nil {
			return err
		}
		var sides []*workflow.Definition
		for _, arg := range args {
			def, err := a.compiledDefinition(ctx, s, arg, lookup)
			if err != nil {
				return err
			}
			sides = append(sides, def)
		}
		return a.tellDifference(diff.Compare(sides[0], sides[1], names))
	})
	return cmd
}

func (a *App) tellDifference(report diff.Report) error {
	if a.output.JSON() {
		if err := a.output.Print(report, nil); err != nil {
			return err
		}
	} else {
		styles := map[string]cli.Style{"  + ": cli.Good, "  - ": cli.Bad, "  ~ ": cli.Warn, "  > ": cli.Warn, "  = ": cli.Warn}
		var text strings.Builder
		for line := range strings.Lines(report.Text()) {
			line = render.Clean(strings.TrimSuffix(line, "\n"))
			if style, ok := styles[line[:min(4, len(line))]]; ok {
				line = a.output.Styled(style, line)
			}
			text.WriteString(line + "\n")
		}
		if _, err := fmt.Fprint(a.Out, text.String()); err != nil {
			return err
		}
	}
	if !report.Same {
		return cli.WithExit(cli.ExitDiffers, nil)
	}
	return nil
}
