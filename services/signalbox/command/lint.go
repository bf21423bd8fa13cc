package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

// lintPatience is how long the linter waits for a suite that it can do without.
const lintPatience = 5 * time.Second

func (a *App) workflowLint(s *suite) *cobra.Command {
	offline := false
	cmd := &cobra.Command{
		Use:   "lint FILE…",
		Short: "Check definitions without handing them over",
		Long: `Checks definitions here and prints every finding with file, line and column and how to mend it. When a suite can be reached, the
tools that a definition names are checked against its tool servers, and its sub-workflows against those that are registered; without one,
both are unknown, which is a warning.

Errors end the command with exit code 4; warnings do not.`,
		Example: `  signalbox workflow lint hello.yaml
  signalbox workflow lint --offline workflows/*.yaml
  signalbox workflow lint -o json hello.yaml | jq '.[].rule'`,
		Args: some("FILE"),
	}
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask a suite for its tools")
	cmd.RunE = s.runE(func(ctx context.Context, files []string) error {
		var catalog workflow.Catalog
		if !offline {
			var err error
			if catalog, err = a.catalog(ctx, s); err != nil {
				return err
			}
		}
		if catalog == nil {
			return a.lint(files, nil, nil)
		}
		return a.lint(files, catalog, a.registered(ctx, s))
	})
	return cmd
}

func (a *App) lint(files []string, catalog workflow.Catalog, workflows workflow.Workflows) error {
	found := workflow.Findings{}
	for _, file := range files {
		source, err := readFile(file, a.In)
		if err != nil {
			return errs.Invalid("FILE", "%v", err)
		}
		_, findings := workflow.Check(file, source, catalog, workflows)
		found = append(found, findings...)
	}
	if err := a.printFindings(found, len(files)); err != nil {
		return err
	}
	if found.HasErrors() {
		return cli.WithExit(cli.ExitRefused, nil)
	}
	return nil
}

func (a *App) printFindings(found workflow.Findings, files int) error {
	if a.output.JSON() {
		return a.output.Print(found, nil)
	}
	var text strings.Builder
	for _, finding := range found {
		style := cli.Warn
		if finding.Severity == workflow.SeverityError {
			style = cli.Bad
		}
		place, rest, _ := strings.Cut(render.Clean(finding.String()), string(finding.Severity))
		fmt.Fprintf(&text, "%s%s%s\n", place, a.output.Styled(style, string(finding.Severity)), rest)
	}
	errorCount := len(found.Errors())
	fmt.Fprintf(&text, "%s checked: %s, %s\n", count(files, "file"), count(errorCount, "error"), count(len(found)-errorCount, "warning"))
	_, err := fmt.Fprint(a.Out, text.String())
	return err
}

// catalog asks the suite for its tools; nil when there is no suite.
func (a *App) catalog(ctx context.Context, s *suite) (workflow.Catalog, error) {
	ctx, cancel := context.WithTimeout(ctx, min(s.flags.timeout, lintPatience))
	defer cancel()
	tools, unavailable, err := listTools(ctx, s, "")
	switch {
	case errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE), errors.Is(ctx.Err(), context.DeadlineExceeded):
		a.output.Note("no suite at %s, so tools are not checked (--offline leaves this note out)", s.address)
		return nil, nil
	case err != nil:
		return nil, err
	}
	for _, server := range sortedKeys(unavailable) {
		a.output.Note("tool server %s is away, so its tools are not checked: %s", server, unavailable[server])
	}
	return workflow.NewCatalog(tools), nil
}

// registered are the suite's definitions, as which a sub-workflow is looked up.
func (a *App) registered(ctx context.Context, s *suite) workflow.Workflows {
	client := statev1.NewDefinitionServiceClient(s.conn("state"))
	return workflow.WorkflowsFunc(func(namespace, name, version string) (*workflow.Definition, bool) {
		ctx, cancel := context.WithTimeout(ctx, min(s.flags.timeout, lintPatience))
		defer cancel()
		response, err := client.GetDefinition(ctx, &statev1.GetDefinitionRequest{Namespace: namespace, Name: name, Version: version})
		var child *workflow.Definition
		if err == nil {
			child, err = workflow.Rebuild(response.GetDefinition().GetDefinition(), response.GetDefinition().GetTools())
		}
		if err != nil {
			a.output.Note("workflow %s: %v", name, err)
		}
		return child, err == nil
	})
}

// listTools reads the whole catalogue, or one server's part.
func listTools(ctx context.Context, s *suite, server string) ([]*workflowv1.ToolDeclaration, map[string]string, error) {
	client := gatewayv1.NewToolServiceClient(s.conn("gateway"))
	var tools []*workflowv1.ToolDeclaration
	unavailable := map[string]string{}
	request := &gatewayv1.ListToolsRequest{Server: server}
	for {
		response, err := client.ListTools(ctx, request)
		if err != nil {
			return nil, nil, err
		}
		tools = append(tools, response.GetTools()...)
		for name, reason := range response.GetUnavailable() {
			unavailable[name] = reason
		}
		if request.PageToken = response.GetNextPageToken(); request.PageToken == "" {
			return tools, unavailable, nil
		}
	}
}

func count(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
