package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

func (a *App) runOperations(s *suite) *cobra.Command {
	var (
		page     pageFlags
		request  statev1.ListOperationsRequest
		statuses []string
	)
	cmd := &cobra.Command{
		Use:   "operations [RUN]",
		Short: "Print the effect ledger of a run, or of all",
		Long: `Prints the effect ledger: every intended effect with its status, attempts and key. Statuses are INTENDED, SUCCEEDED, FAILED, UNKNOWN,
RECONCILED (a probe settled it), DECIDED (a person did), COMPENSATED and COMPENSATION_FAILED.`,
		Example: `  signalbox run operations 0198c7d2-1f3e-7a44
  signalbox run operations --status UNKNOWN           # what nobody knows yet, in all runs
  signalbox run operations --was-unknown -o json`,
		Args: between(0, "RUN"),
	}
	cmd.Flags().StringVar(&request.StepPath, "step", "", "only this step, as `state/step`")
	cmd.Flags().StringSliceVar(&statuses, "status", nil, "only these `statuses`")
	cmd.Flags().BoolVar(&request.WasUnknown, "was-unknown", false, "only those whose outcome was unknown at some time")
	page.bind(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, args []string) (err error) {
		if request.Statuses, err = operationStatuses(statuses); err != nil {
			return err
		}
		if len(args) > 0 {
			request.RunId = args[0]
		}
		request.Namespace, request.PageSize, request.PageToken = s.namespace(), page.size, page.token
		return list(ctx, s, s.runs().ListOperations, &request, listing[*statev1.ListOperationsResponse, *statev1.LedgerEntry]{
			none: "no operations", columns: []string{"run", "step", "tool", "effect", "for", "status", "attempts", "idempotency key"},
			entries: (*statev1.ListOperationsResponse).GetEntries, row: operationRow,
		})
	})
	return cmd
}

func operationRow(entry *statev1.LedgerEntry) []string {
	op := entry.GetOperation()
	status := render.Name(op.GetStatus())
	if op.GetWasUnknown() && op.GetStatus() != workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN {
		status += " (was UNKNOWN)"
	}
	return []string{
		entry.GetRunId(), op.GetStepPath(), op.GetServer() + "/" + op.GetTool(), render.Name(op.GetEffect()), render.Name(op.GetPurpose()),
		status, fmt.Sprint(op.GetAttempts()), op.GetIdempotencyKey(),
	}
}

func operationStatuses(names []string) ([]workflowv1.OperationStatus, error) {
	var statuses []workflowv1.OperationStatus
	for _, name := range names {
		number, ok := workflowv1.OperationStatus_value["OPERATION_STATUS_"+strings.ToUpper(name)]
		if !ok || number == 0 {
			known := enumNames(workflowv1.OperationStatus_name, "OPERATION_STATUS_")
			return nil, errs.Invalid("status", "%q is none of %s%s", name, strings.Join(known, ", "), nearest.Hint(strings.ToUpper(name), known))
		}
		statuses = append(statuses, workflowv1.OperationStatus(number))
	}
	return statuses, nil
}

// enumNames lists the values of an enum as filters spell them, in the order of the contract.
func enumNames(values map[int32]string, prefix string) []string {
	var names []string
	for number := int32(1); int(number) < len(values); number++ {
		names = append(names, strings.TrimPrefix(values[number], prefix))
	}
	return names
}
