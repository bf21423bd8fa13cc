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
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

// lintPatience is how long the linter waits for a suite that it can do without.
const lintPatience = 5 * time.Second

// lintFlags say how findings are made and told.
type lintFlags struct {
	offline, strict bool
	tools           []string
	format          string
}

// The formats of findings beside those that all commands have.
const (
	formatText  = "text"
	formatSARIF = "sarif"
)

func (a *App) workflowLint(s *suite) *cobra.Command {
	var flags lintFlags
	cmd := &cobra.Command{
		Use:   "lint FILE…",
		Short: "Check definitions without handing them over",
		Long: `Checks definitions here and prints every finding with file, line and column and how to mend it. Files given together find each other: as
sub-workflows, and as who emits an event that another waits for. When a suite can be reached, the tools that a definition names are checked
against its tool servers, and sub-workflows and events against what is registered there too; without one, what is not among the files is
unknown, which is a warning. --tools takes the tools from a file instead, as "signalbox tool list -o json" prints them, and asks no suite.

docs/lint.md explains each rule. With -o sarif findings are printed as SARIF 2.1.0, as code scanning takes them.

Errors end the command with exit code 4; warnings do so with --strict.`,
		Example: `  signalbox workflow lint hello.yaml
  signalbox workflow lint --strict --tools tools.json workflows/*.yaml
  signalbox workflow lint -o json hello.yaml | jq '.[].rule'
  signalbox workflow lint --offline -o sarif workflows/*.yaml > lint.sarif`,
		Args: some("FILE"),
	}
	cmd.Flags().BoolVar(&flags.offline, "offline", false, "do not ask a suite for its tools and workflows")
	cmd.Flags().BoolVar(&flags.strict, "strict", false, "let warnings fail too")
	cmd.Flags().StringArrayVar(&flags.tools, "tools", nil, "`file` with the tools to check against, JSON or YAML; may be repeated")
	cmd.Flags().StringVarP(&flags.format, "output", "o", formatText, "how to print: text for people, json or sarif for programs")
	cmd.PersistentPreRunE = func(*cobra.Command, []string) (err error) {
		switch flags.format {
		case formatText:
			a.format = ""
		case formatSARIF:
			a.format = "json" // so that an error of the command itself is one that programs read
		case "table", "json":
			a.format = flags.format
		default:
			return errs.Invalid("output", "%q is none of text, json, sarif%s", flags.format, nearest.Hint(flags.format, []string{formatText, "json", formatSARIF}))
		}
		a.output, err = cli.NewOutput(a.Out, a.Err, a.format)
		return err
	}
	cmd.RunE = s.runE(func(ctx context.Context, files []string) error { return a.lint(ctx, s, files, flags) })
	return cmd
}

func (a *App) lint(ctx context.Context, s *suite, files []string, flags lintFlags) error {
	var sources []workflow.Source
	for _, file := range files {
		text, err := readFile(file, a.In)
		if err != nil {
			return errs.Invalid("FILE", "%v", err)
		}
		sources = append(sources, workflow.Source{File: file, Text: text, Namespace: s.askedNamespace()})
	}
	catalog, known, err := a.lintAgainst(ctx, s, flags)
	if err != nil {
		return err
	}
	found := workflow.CheckAll(sources, catalog, known)
	if err := a.tellFindings(found, files, flags); err != nil {
		return err
	}
	if found.HasErrors() || flags.strict && len(found) > 0 {
		return cli.WithExit(cli.ExitRefused, nil)
	}
	return nil
}

// lintAgainst is what is known of tools and of other workflows; nil: nothing.
func (a *App) lintAgainst(ctx context.Context, s *suite, flags lintFlags) (workflow.Catalog, workflow.Workflows, error) {
	if len(flags.tools) > 0 {
		catalog, err := a.toolFiles(flags.tools)
		return catalog, nil, err
	}
	if flags.offline {
		return nil, nil, nil
	}
	catalog, err := a.catalog(ctx, s)
	if err != nil || catalog == nil {
		return nil, nil, err
	}
	return catalog, a.registered(ctx, s), nil
}

func (a *App) tellFindings(found workflow.Findings, files []string, flags lintFlags) error {
	if flags.format != formatSARIF {
		return a.printFindings(found, len(files))
	}
	log, err := found.SARIF(a.Version, files)
	if err != nil {
		return err
	}
	_, err = a.Out.Write(append(log, '\n'))
	return err
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
