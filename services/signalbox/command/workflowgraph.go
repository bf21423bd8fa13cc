package command

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
	"github.com/signalbox-dev/signalbox/pkg/workflow/draw"
)

// pictures are the ways to draw, with the endings of files that mean them.
var pictures = []struct {
	name    string
	endings []string
	draw    func(*workflowv1.WorkflowDefinition, *workflowv1.Run) []byte
}{
	{"svg", []string{".svg"}, draw.SVG},
	{"mermaid", []string{".mmd", ".mermaid"}, draw.Mermaid},
	{"dot", []string{".dot", ".gv"}, draw.DOT},
}

func (a *App) workflowGraph(s *suite) *cobra.Command {
	format, out, run := "", "", ""
	cmd := &cobra.Command{
		Use:   "graph [FILE|WORKFLOW[@VERSION]]",
		Short: "Draw a definition, and where a run of it is",
		Long: `Draws a definition as SVG, as Mermaid or in the language of Graphviz (DOT): states with their steps, branches inside of their step,
guards at transitions, and handlers dashed. A definition in a file need not be finished.

With --run it marks where that run is: its state, its open steps, what it has visited and how often, what failed or asks a person. Then the
definition may be left out: it is the one that the run is pinned to.

What ends in .yaml or holds a dot or a slash is a file, anything else a registered workflow; - is standard input.`,
		Example: `  signalbox workflow graph order-status --out order-status.svg
  signalbox workflow graph hello.yaml -o mermaid
  signalbox workflow graph --run 0198c7d2-1f3e-7a44 --out where.svg`,
		Args: between(0, "FILE|WORKFLOW"),
	}
	// This command's own -o hides that of all commands: pictures are neither tables nor JSON.
	cmd.Flags().StringVarP(&format, "output", "o", "", "`how` to draw: svg, mermaid, dot (default: what the ending of --out says, else svg)")
	cmd.Flags().StringVar(&out, "out", "", "write to this `file` instead of standard output")
	cmd.Flags().StringVar(&run, "run", "", "mark where this `run` is")
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		picture, err := pictureFormat(format, out)
		if err != nil {
			return err
		}
		if len(args) == 0 && run == "" {
			return misuse(cmd, "FILE or WORKFLOW is missing; with --run it may be left out")
		}
		def, head, err := a.drawn(ctx, s, args, run)
		if err != nil {
			return err
		}
		return a.putPicture(out, picture(def, head))
	})
	return cmd
}

// pictureFormat finds the way to draw.
func pictureFormat(name, out string) (func(*workflowv1.WorkflowDefinition, *workflowv1.Run) []byte, error) {
	var names []string
	for _, p := range pictures {
		names = append(names, p.name)
		if name == p.name {
			return p.draw, nil
		}
		for _, ending := range p.endings {
			if name == "" && strings.EqualFold(filepath.Ext(out), ending) {
				return p.draw, nil
			}
		}
	}
	switch ending := strings.ToLower(filepath.Ext(out)); {
	case name != "":
		return nil, errs.Invalid("output", "%q is none of %s%s", name, strings.Join(names, ", "), nearest.Hint(name, names))
	case slices.Contains([]string{".png", ".jpg", ".jpeg", ".gif", ".webp", ".pdf"}, ending):
		return nil, errs.Invalid("out", "pictures are not drawn as %s; draw an .svg, which browsers show and other programs turn into that", ending)
	}
	return draw.SVG, nil
}

// drawn finds the definition that is meant, and the head of the run, nil when none is asked for.
func (a *App) drawn(ctx context.Context, s *suite, args []string, runID string) (*workflowv1.WorkflowDefinition, *workflowv1.Run, error) {
	head, err := s.head(ctx, runID)
	if err != nil {
		return nil, nil, err
	}
	if len(args) > 0 && namesFile(args[0]) {
		def, err := a.loadDefinition(args[0])
		return def, head, err
	}
	name, version := head.GetWorkflow(), head.GetVersion()
	if len(args) > 0 {
		given, wanted, err := nameAndVersion(args[0])
		if err != nil {
			return nil, nil, err
		}
		if head != nil && given != name {
			return nil, nil, errs.Invalid("run", "run %s is one of workflow %s, not of %s", runID, name, given)
		}
		if wanted != "" || head == nil {
			version = wanted
		}
		name = given
	}
	d, err := s.getDefinition(ctx, name, version)
	if err != nil {
		return nil, nil, err
	}
	return d.GetDefinition(), head, nil
}

// head reads the head of a run; nil for no id.
func (s *suite) head(ctx context.Context, runID string) (*workflowv1.Run, error) {
	if runID == "" {
		return nil, nil
	}
	ctx, cancel := s.brief(ctx)
	defer cancel()
	response, err := s.runs().GetRun(ctx, &statev1.GetRunRequest{Namespace: s.namespace(), RunId: runID})
	if err != nil {
		return nil, err
	}
	return response.GetRun(), nil
}

func (a *App) putPicture(out string, picture []byte) error {
	if out == "" || out == "-" {
		_, err := a.Out.Write(picture)
		return err
	}
	if err := os.WriteFile(out, picture, 0o644); err != nil {
		return errs.Invalid("out", "%v", err)
	}
	a.output.Note("drawn to %s (%s)", out, fmt.Sprintf("%d KiB", (len(picture)+1023)/1024))
	return nil
}
