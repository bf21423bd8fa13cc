package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

func (a *App) toolCommand() *cobra.Command {
	return a.client("tool", "Look at the tools of the tool servers, and call one by hand",
		"Tool servers are declared in signalbox.yaml under servers, with what is known of the effect of each tool.",
		a.toolList, a.toolCall)
}

func (a *App) toolList(s *suite) *cobra.Command {
	return &cobra.Command{
		Use:     "list [SERVER]",
		Short:   "List tools with the policy that governs each",
		Example: "  signalbox tool list\n  signalbox tool list desk -o json | jq '.tools[].input_schema'",
		Args:    between(0, "SERVER"),
		RunE: s.runE(func(ctx context.Context, args []string) error {
			ctx, cancel := s.brief(ctx)
			defer cancel()
			declared, unavailable, err := listTools(ctx, s, strings.Join(args, ""))
			if err != nil {
				return err
			}
			response := &gatewayv1.ListToolsResponse{Tools: declared, Unavailable: unavailable}
			err = a.table(response, "no tools; declare tool servers in signalbox.yaml under servers",
				[]string{"tool", "effect", "description"}, func() [][]string {
					var rows [][]string
					for _, tool := range declared {
						rows = append(rows, []string{tool.GetServer() + "/" + tool.GetName(), render.Policy(tool), firstSentence(tool.GetDescription())})
					}
					return rows
				})
			for _, server := range sortedKeys(unavailable) {
				a.output.Note("tool server %s is away: %s", server, unavailable[server])
			}
			return err
		}),
	}
}

// firstSentence keeps a table readable; -o json has the whole description.
func firstSentence(text string) string {
	const longest = 90
	text = render.Clean(text)
	if sentence, _, ok := strings.Cut(text, ". "); ok {
		text = sentence + "."
	}
	if runes := []rune(text); len(runes) > longest {
		return string(runes[:longest]) + "…"
	}
	return text
}

func (a *App) toolCall(s *suite) *cobra.Command {
	var (
		arguments valueFlags
		requestID string
	)
	cmd := &cobra.Command{
		Use:   "call SERVER/TOOL",
		Short: "Call a tool outside of any run",
		Long: `Calls a tool outside of any run: no ledger, no retry, no undo. When the answer is lost, whether the call happened is not known, and
the command says so. An answer that is the tool's own error ends the command with exit code 4.`,
		Example: "  signalbox tool call desk/get_order_details -f order_id=1001",
		Args:    Exactly("SERVER/TOOL"),
	}
	arguments.bind(cmd.Flags(), "arguments", "the tool's arguments")
	cmd.Flags().StringVar(&requestID, "request-id", "", "idempotency key of the call (default: made by the gateway)")
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		server, tool, ok := strings.Cut(args[0], "/")
		if !ok || server == "" || tool == "" {
			return misuse(cmd, "%q is not SERVER/TOOL; `signalbox tool list` shows what there is", args[0])
		}
		raw, err := arguments.read(cmd, a.In)
		if err != nil {
			return err
		}
		response, err := gatewayv1.NewToolServiceClient(s.conn("gateway")).CallTool(ctx,
			&gatewayv1.CallToolRequest{Server: server, Tool: tool, Arguments: raw, RequestId: requestID})
		if err != nil {
			return err
		}
		return a.answer(response, response.GetOutput(), response.GetIsError())
	})
	return cmd
}

// answer prints what a tool answered; its own error is bad news that no caller may overlook.
func (a *App) answer(message proto.Message, output []byte, isError bool) error {
	err := a.say(message, func() string { return render.Indent(output, "") })
	if err != nil || !isError {
		return err
	}
	if a.output.JSON() {
		return cli.WithExit(cli.ExitRefused, nil)
	}
	return cli.WithExit(cli.ExitRefused, fmt.Errorf("the tool answered with its own error"))
}
