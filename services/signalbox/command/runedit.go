package command

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
)

func (a *App) runEdit(s *suite) *cobra.Command {
	var (
		value   valueFlags
		request schedulerv1.EditRunRequest
	)
	cmd := &cobra.Command{
		Use:   "edit RUN",
		Short: "Change gathered data of a run: its input, or the output of a step",
		Long: `Changes the input of a run, or with --step the output of a step that has ended. The new value is checked against its schema, and the
edit is recorded with who made it. When a finished validation or human gate had read the value, the run goes back there.

With --value or --value-file the value is replaced; with --field alone single fields of what is there now are changed, and the edit is refused
if the run has moved on meanwhile.`,
		Example: `  signalbox run edit 0198c7d2-1f3e-7a44 -f city=Bern --reason 'the customer moved'
  signalbox run edit 0198c7d2-1f3e-7a44 --step order -f total:=90.5
  signalbox run edit 0198c7d2-1f3e-7a44 --step decide --value '{"action": "refund", "amount": 12}'`,
		Args: Exactly("RUN"),
	}
	value.bind(cmd.Flags(), "value", "the new value")
	cmd.Flags().StringVar(&request.StepId, "step", "", "change the output of this `step`, by its id (default: the run's input)")
	cmd.Flags().StringVar(&request.Reason, "reason", "", "why, in words")
	cmd.Flags().StringVar(&request.RequestId, "request-id", "", "your identity of this edit: sent again, it counts once")
	cmd.Flags().Uint64Var(&request.ExpectedSequence, "expect-sequence", 0, "refuse the edit unless the run is at this `sequence` (0: any)")
	cmd.RunE = s.runE(func(ctx context.Context, args []string) (err error) {
		if value.text == "" && value.file == "" && len(value.fields) == 0 {
			return misuse(cmd, "the new value is missing; give --value, --value-file or --field")
		}
		request.Namespace, request.RunId = s.namespace(), args[0]
		if value.text == "" && value.file == "" {
			if value.text, err = s.present(ctx, &request); err != nil {
				return err
			}
		}
		if request.Value, err = value.read(cmd, a.In); err != nil {
			return err
		}
		if request.GetRequestId() == "" {
			request.RequestId = uuid.NewString()
		}
		brief, cancel := s.brief(ctx)
		defer cancel()
		response, err := s.control().EditRun(brief, &request)
		if err != nil {
			return err
		}
		return a.say(response, func() string {
			text := fmt.Sprintf("changed %s of %s (event %d)", edited(request.GetStepId()), args[0], response.GetSequence())
			if response.GetBackTo() != "" {
				text += "; the run goes back to " + response.GetBackTo() + ", which had read it"
			}
			return text
		})
	})
	return cmd
}

func edited(step string) string {
	if step == "" {
		return "the input"
	}
	return "the output of " + step
}

// present reads what is to be changed as it is now, and has the edit refused when the run moves on meanwhile.
func (s *suite) present(ctx context.Context, request *schedulerv1.EditRunRequest) (string, error) {
	head, err := s.head(ctx, request.GetRunId())
	if err != nil {
		return "", err
	}
	if request.GetExpectedSequence() == 0 {
		request.ExpectedSequence = head.GetSequence()
	}
	sequence := max(head.GetInputSequence(), 1)
	if id := request.GetStepId(); id != "" {
		record, ok := head.GetSteps()[id]
		if !ok {
			return "", errs.New(errorsv1.ErrorReason_ERROR_REASON_STEP_NOT_FOUND, "step %q of run %s has no output that could be changed%s", id, request.GetRunId(), nearest.Hint(id, sortedKeys(head.GetSteps())))
		}
		if sequence = record.GetOutputSequence(); sequence == 0 {
			return "{}", nil
		}
	}
	ctx, cancel := s.brief(ctx)
	defer cancel()
	response, err := s.runs().GetHistoryEvents(ctx, &statev1.GetHistoryEventsRequest{Namespace: s.namespace(), RunId: request.GetRunId(), Sequences: []uint64{sequence}, ResolveArtifacts: true})
	if err != nil {
		return "", err
	}
	for _, event := range response.GetEvents() {
		payload := valueOf(event)
		if payload.GetArtifact() != nil {
			return "", errs.Invalid("field", "%s is too large to be changed field by field; give the whole of it with --value-file", edited(request.GetStepId()))
		}
		if len(payload.GetInline()) > 0 {
			return string(payload.GetInline()), nil
		}
	}
	return "{}", nil
}

// valueOf is the input or output that an event holds.
func valueOf(event *workflowv1.HistoryEvent) *workflowv1.Payload {
	switch fact := event.GetFact().(type) {
	case *workflowv1.HistoryEvent_RunStarted:
		return fact.RunStarted.GetInput()
	case *workflowv1.HistoryEvent_RunEdited:
		return fact.RunEdited.GetValue()
	case *workflowv1.HistoryEvent_StepCompleted:
		return fact.StepCompleted.GetOutput()
	case *workflowv1.HistoryEvent_OperationSucceeded:
		return fact.OperationSucceeded.GetOutput()
	case *workflowv1.HistoryEvent_OutcomeSettled:
		return fact.OutcomeSettled.GetOutput()
	case *workflowv1.HistoryEvent_ReceiptRecorded:
		return fact.ReceiptRecorded.GetOutput()
	default:
		return nil
	}
}
