package command

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

func (a *App) escalationCommand() *cobra.Command {
	return a.client("escalation", "Look at what is asked of people, and answer",
		"An escalation is a decision asked of a person, with everything that is needed to decide. Silence is never consent.",
		a.escalationList, a.escalationShow, a.escalationResolve)
}

func (s *suite) inbox() escalationv1.EscalationServiceClient {
	return escalationv1.NewEscalationServiceClient(s.conn("escalation"))
}

func (a *App) escalationList(s *suite) *cobra.Command {
	var (
		page        pageFlags
		state       string
		run, role   string
		stateValues = enumNames(statev1.EscalationState_name, "ESCALATION_STATE_")
	)
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List escalations, oldest open first",
		Example: "  signalbox escalation list\n  signalbox escalation list --role supervisor\n  signalbox escalation list --state RESOLVED --run 0198c7d2-1f3e-7a44",
		Args:    Exactly(),
	}
	cmd.Flags().StringVar(&state, "state", "", "`state`: "+strings.Join(stateValues, ", ")+" (default: OPEN)")
	cmd.Flags().StringVar(&run, "run", "", "only those of this `run`")
	cmd.Flags().StringVar(&role, "role", "", "only those that this `role` may decide")
	page.bind(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, _ []string) error {
		number, ok := statev1.EscalationState_value["ESCALATION_STATE_"+strings.ToUpper(state)]
		if state != "" && !ok {
			return errs.Invalid("state", "%q is none of %s%s", state, strings.Join(stateValues, ", "), nearest.Hint(strings.ToUpper(state), stateValues))
		}
		ctx, cancel := s.brief(ctx)
		defer cancel()
		response, err := s.inbox().ListInbox(ctx, &escalationv1.ListInboxRequest{
			Namespace: s.namespace(), State: statev1.EscalationState(number), RunId: run, Role: role, PageSize: page.size, PageToken: page.token,
		})
		if err != nil {
			return err
		}
		defer a.pageNote(response.GetNextPageToken())
		return a.table(response, "nothing is asked of anybody", []string{"escalation", "question", "decisions", "may decide", "run", "asked", "due"},
			func() [][]string {
				var rows [][]string
				for n, record := range response.GetEscalations() {
					var standing *escalationv1.Standing // an older service tells none
					if n < len(response.GetStandings()) {
						standing = response.GetStandings()[n]
					}
					rows = append(rows, a.escalationRow(record, standing))
				}
				return rows
			})
	})
	return cmd
}

func (a *App) escalationRow(record *statev1.EscalationRecord, standing *escalationv1.Standing) []string {
	opened, now := record.GetOpened(), a.Clock.Now()
	decisions := strings.Join(opened.GetDecisions(), " | ")
	if record.GetClosed() != nil {
		decisions = render.Closed(record.GetClosed())
	} else if opened.GetQuorum() > 1 {
		decisions += " (" + render.Votes(standing) + ")"
	}
	due := ""
	if opened.GetDueTime() != nil {
		due = render.Ago(opened.GetDueTime().AsTime(), now)
	}
	return []string{
		record.GetId(), opened.GetQuestion(), decisions, render.MayDecide(opened.GetRoles(), standing), record.GetRunId(),
		render.Ago(record.GetOpenTime().AsTime(), now), due,
	}
}

func (a *App) escalationShow(s *suite) *cobra.Command {
	return &cobra.Command{
		Use:   "show ESCALATION",
		Short: "Show everything that is needed to decide",
		Long: `Shows the whole envelope: the question, what is decided on, why it is asked, the failing call with its arguments, the steps so far,
and what each allowed decision leads to. The digest names exactly what was shown; give it to resolve.`,
		Example: "  signalbox escalation show esc-1",
		Args:    Exactly("ESCALATION"),
		RunE: s.runE(func(ctx context.Context, args []string) error {
			ctx, cancel := s.brief(ctx)
			defer cancel()
			response, err := s.inbox().GetEnvelope(ctx, &escalationv1.GetEnvelopeRequest{Namespace: s.namespace(), EscalationId: args[0]})
			if err != nil {
				return err
			}
			return a.say(response.GetEnvelope(), func() string { return render.Envelope(response.GetEnvelope(), a.Clock.Now()) })
		}),
	}
}

func (a *App) escalationResolve(s *suite) *cobra.Command {
	var (
		request escalationv1.ResolveRequest
		value   valueFlags
		digest  string
	)
	cmd := &cobra.Command{
		Use:   "resolve ESCALATION DECISION",
		Short: "Answer an escalation",
		Long: `Gives one of the allowed decisions. It is acknowledged once it is durable in the run. An answer that comes too late, a second one, and
one about something else than the --digest names are refused.`,
		Example: `  signalbox escalation resolve esc-1 approve --comment 'within the limit'
  signalbox escalation resolve esc-2 provide_output --value '{"status": "delivered"}' --as ann --role supervisor`,
		Args: Exactly("ESCALATION", "DECISION"),
	}
	value.bind(cmd.Flags(), "value", "the value that goes with the decision")
	cmd.Flags().StringVar(&request.Comment, "comment", "", "what you have to say about it")
	cmd.Flags().StringVar(&request.DecidedBy, "as", "", "`name` of who decides (default: whoever the API key is of)")
	cmd.Flags().StringSliceVar(&request.Roles, "role", nil, "`roles` of who decides (default: those of the API key)")
	cmd.Flags().StringVar(&digest, "digest", "", "digest that `show` printed: what was decided on (default: not checked)")
	cmd.Flags().StringVar(&request.RequestId, "request-id", "", "your identity of this answer: sent again, it counts once")
	cmd.RunE = s.runE(func(ctx context.Context, args []string) (err error) {
		if request.SubjectDigest, err = hex.DecodeString(digest); err != nil {
			return errs.Invalid("digest", "%q is not a digest; copy the one that `signalbox escalation show %s` prints", digest, args[0])
		}
		if request.Value, err = value.read(cmd, a.In); err != nil {
			return err
		}
		request.Namespace, request.EscalationId, request.Decision = s.namespace(), args[0], args[1]
		ctx, cancel := s.brief(ctx)
		defer cancel()
		response, err := s.inbox().Resolve(ctx, &request)
		if err != nil {
			return err
		}
		return a.say(response.GetRecord(), func() string {
			if response.GetRecord().GetClosed() == nil {
				return "your answer counts; so far " + render.Votes(response.GetStanding())
			}
			return fmt.Sprintf("%s; run %s goes on", render.Closed(response.GetRecord().GetClosed()), response.GetRecord().GetRunId())
		})
	})
	return cmd
}
