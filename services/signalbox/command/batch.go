package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

// batchFlags say to which runs something is done, where it is not one.
type batchFlags struct {
	filter         string
	detach, dryRun bool
}

func (b *batchFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&b.filter, "filter", "", "do it to all runs of this `filter`, as in run list")
	cmd.Flags().BoolVar(&b.detach, "detach", false, "with --filter: do not wait until the batch is through")
	cmd.Flags().BoolVar(&b.dryRun, "dry-run", false, "say what would happen, and change nothing")
}

// wanted tells whether a batch is asked for, and refuses what is neither one nor a single run. A single run has no dry run here.
func (b *batchFlags) wanted(cmd *cobra.Command, args []string) (bool, error) {
	batch, err := b.wantedOrDry(cmd, args)
	if err == nil && !batch && b.dryRun {
		return false, misuse(cmd, "--dry-run is for batches here: give --filter")
	}
	return batch, err
}

// wantedOrDry is wanted where a single run can be tried too.
func (b *batchFlags) wantedOrDry(cmd *cobra.Command, args []string) (bool, error) {
	given := cmd.Flags().Changed("filter")
	switch {
	case given && len(args) > 0:
		return false, misuse(cmd, "RUN %q and --filter are both given; keep one", args[0])
	case !given && len(args) == 0:
		return false, misuse(cmd, "RUN is missing; to do it to many runs give --filter")
	case given && strings.TrimSpace(b.filter) == "":
		return false, misuse(cmd, "--filter is empty; all open runs are 'status = RUNNING'")
	case !given && b.detach:
		return false, misuse(cmd, "--detach is for batches: give --filter")
	}
	return given, nil
}

func (s *suite) batches() schedulerv1.BatchServiceClient {
	return schedulerv1.NewBatchServiceClient(s.conn("scheduler"))
}

// startBatch begins a batch and shows how far it is until it is through.
func (a *App) startBatch(ctx context.Context, s *suite, flags batchFlags, request *schedulerv1.StartBatchRequest) error {
	request.Namespace, request.Filter, request.DryRun, request.RequestId = s.namespace(), flags.filter, flags.dryRun, uuid.NewString()
	brief, cancel := s.brief(ctx)
	defer cancel()
	response, err := s.batches().StartBatch(brief, request)
	if err != nil {
		return err
	}
	s.met = true
	batch := response.GetBatch()
	if flags.detach {
		return a.say(batch, func() string {
			return fmt.Sprintf("batch %s has begun; signalbox batch show %s says how far it is", batch.GetId(), batch.GetId())
		})
	}
	return a.followBatch(ctx, s, batch)
}

// How often a batch is asked how far it is.
const (
	firstLook = 100 * time.Millisecond
	lastLook  = 2 * time.Second
)

// followBatch shows progress until a batch is through, and then what became of it.
func (a *App) followBatch(ctx context.Context, s *suite, batch *schedulerv1.Batch) error {
	progress, contact := a.output.Progress(), newContact(a, s)
	defer progress.Done()
	request := &schedulerv1.GetBatchRequest{Namespace: batch.GetNamespace(), Id: batch.GetId()}
	if request.Namespace == "" {
		request.Namespace = s.namespace()
	}
	for pause := firstLook; batch.GetState() == schedulerv1.BatchState_BATCH_STATE_RUNNING; pause = min(2*pause, lastLook) {
		progress.Set("batch %s: %s of %d", batch.GetId(), batchCounts(batch), batch.GetTotal())
		if err := clock.Sleep(ctx, a.Clock, pause); err != nil {
			progress.Done()
			a.output.Note("the batch goes on; signalbox batch stop %s ends it", batch.GetId())
			return err
		}
		call, cancel := s.brief(ctx)
		response, err := s.batches().GetBatch(call, request)
		cancel()
		if err != nil {
			if err = contact.lost(ctx, err); err != nil {
				return err
			}
			continue
		}
		contact.made()
		batch = response.GetBatch()
	}
	progress.Done()
	return a.batchOver(batch)
}

// batchOver prints what became of a batch.
func (a *App) batchOver(batch *schedulerv1.Batch) error {
	if err := a.say(batch, func() string { return a.batchSheet(batch) }); err != nil {
		return err
	}
	if batch.GetFailed() > 0 {
		return cli.WithExit(cli.ExitRefused, nil)
	}
	return nil
}

func batchCounts(b *schedulerv1.Batch) string {
	text := fmt.Sprintf("%d done", b.GetDone())
	if b.GetFailed() > 0 {
		text += fmt.Sprintf(", %d refused or failed", b.GetFailed())
	}
	if b.GetSkipped() > 0 {
		text += fmt.Sprintf(", %d passed over", b.GetSkipped())
	}
	return text
}

// batchAction is what a batch does, in a word.
func batchAction(b *schedulerv1.Batch) string {
	text := strings.ToLower(render.Name(b.GetAction()))
	if b.GetVersion() != "" {
		text += " to " + b.GetVersion()
	}
	if b.GetDryRun() {
		text += " (dry run)"
	}
	return text
}

func (a *App) batchSheet(b *schedulerv1.Batch) string {
	now := a.Clock.Now()
	pairs := []render.Pair{
		{Key: "Batch", Value: b.GetId()}, {Key: "Does", Value: batchAction(b)}, {Key: "Filter", Value: render.Clean(b.GetFilter())},
		{Key: "State", Value: render.Name(b.GetState())}, {Key: "Runs", Value: fmt.Sprintf("%s of %d", batchCounts(b), b.GetTotal())},
		{Key: "Reason", Value: render.Clean(b.GetReason())}, {Key: "Started", Value: render.Moment(b.GetCreateTime(), now)},
		{Key: "Started by", Value: render.Clean(b.GetStartedBy())}, {Key: "Ended", Value: render.Moment(b.GetEndTime(), now)},
	}
	for _, old := range sortedKeys(b.GetStateMap()) {
		pairs = append(pairs, render.Pair{Key: "State map", Value: old + " -> " + b.GetStateMap()[old]})
	}
	for _, f := range b.GetFailures() {
		pairs = append(pairs, render.Pair{Key: "Refused", Value: fmt.Sprintf("%s: %s [%s]", f.GetRunId(), render.Clean(f.GetMessage()), f.GetReason())})
	}
	if more := int(b.GetFailed()) - len(b.GetFailures()); more > 0 && len(b.GetFailures()) > 0 {
		pairs = append(pairs, render.Pair{Key: "Refused", Value: fmt.Sprintf("and %d more", more)})
	}
	return sheet(withValues(pairs))
}

// withValues leaves out what has nothing to say.
func withValues(pairs []render.Pair) []render.Pair {
	var out []render.Pair
	for _, p := range pairs {
		if p.Value != "" {
			out = append(out, p)
		}
	}
	return out
}

func (a *App) batchCommand() *cobra.Command {
	return a.client("batch", "See what is done to many runs at once",
		`A batch cancels, pauses, resumes or migrates all runs of a filter: run cancel, run pause, run resume and run migrate start one with --filter.
It goes on by itself, also after a restart of the suite.`,
		a.batchList, a.batchShow, a.batchStop)
}

func (a *App) batchList(s *suite) *cobra.Command {
	var page pageFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List batches, newest first",
		Example: "  signalbox batch list",
		Args:    Exactly(),
	}
	page.bind(cmd)
	cmd.RunE = s.runE(func(ctx context.Context, _ []string) error {
		request := &schedulerv1.ListBatchesRequest{Namespace: s.namespace(), PageSize: page.size, PageToken: page.token}
		return list(ctx, s, s.batches().ListBatches, request, listing[*schedulerv1.ListBatchesResponse, *schedulerv1.Batch]{
			none: "no batches", columns: []string{"batch", "does", "filter", "state", "done", "failed", "passed over", "of", "started"},
			entries: (*schedulerv1.ListBatchesResponse).GetBatches, row: a.batchRow,
		})
	})
	return cmd
}

func (a *App) batchRow(b *schedulerv1.Batch) []string {
	return []string{
		b.GetId(), batchAction(b), b.GetFilter(), a.batchState(b), fmt.Sprint(b.GetDone()), fmt.Sprint(b.GetFailed()), fmt.Sprint(b.GetSkipped()),
		fmt.Sprint(b.GetTotal()), render.Ago(b.GetCreateTime().AsTime(), a.Clock.Now()),
	}
}

func (a *App) batchState(b *schedulerv1.Batch) string {
	state := render.Name(b.GetState())
	switch {
	case b.GetState() == schedulerv1.BatchState_BATCH_STATE_RUNNING:
		return a.output.Styled(cli.Warn, state)
	case b.GetFailed() > 0:
		return a.output.Styled(cli.Bad, state)
	default:
		return a.output.Styled(cli.Good, state)
	}
}

func (a *App) batchShow(s *suite) *cobra.Command {
	wait := false
	cmd := &cobra.Command{
		Use:   "show BATCH",
		Short: "Show how far a batch is, and for which runs it was refused",
		Long: `Shows how far a batch is. With --wait it shows progress until the batch is through, and then ends with exit code 4 when it was
refused or failed for some runs.`,
		Example: "  signalbox batch show b-17\n  signalbox batch show b-17 --wait",
		Args:    Exactly("BATCH"),
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the batch is through")
	cmd.RunE = s.runE(func(ctx context.Context, args []string) error {
		brief, cancel := s.brief(ctx)
		defer cancel()
		response, err := s.batches().GetBatch(brief, &schedulerv1.GetBatchRequest{Namespace: s.namespace(), Id: args[0]})
		if err != nil {
			return err
		}
		if wait {
			s.met = true
			return a.followBatch(ctx, s, response.GetBatch())
		}
		return a.say(response.GetBatch(), func() string { return a.batchSheet(response.GetBatch()) })
	})
	return cmd
}

func (a *App) batchStop(s *suite) *cobra.Command {
	return &cobra.Command{
		Use:     "stop BATCH",
		Short:   "Let a batch begin nothing more; what was done stays done",
		Example: "  signalbox batch stop b-17",
		Args:    Exactly("BATCH"),
		RunE: s.runE(func(ctx context.Context, args []string) error {
			ctx, cancel := s.brief(ctx)
			defer cancel()
			response, err := s.batches().StopBatch(ctx, &schedulerv1.StopBatchRequest{Namespace: s.namespace(), Id: args[0], RequestId: uuid.NewString()})
			if err != nil {
				return err
			}
			b := response.GetBatch()
			return a.say(b, func() string {
				return fmt.Sprintf("batch %s is %s: %s of %d", b.GetId(), render.Name(b.GetState()), batchCounts(b), b.GetTotal())
			})
		}),
	}
}
