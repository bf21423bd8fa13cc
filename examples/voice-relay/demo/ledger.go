package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/examples/stage"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/exchange"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/workflow"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// record is all that is known of a call when it is over.
type record struct {
	call    *call
	run     *workflowv1.Run
	history []*workflowv1.HistoryEvent
	entries []exchange.Entry // of the exchange
	ledger  []*statev1.LedgerEntry
	// signals that were acknowledged, as the relay counted them.
	signals int
}

// ledger reads everything once more, shows the sums, and fails when something does not add up.
func (d *demo) ledger(ctx context.Context) error {
	d.page.Section("The ledger", "Read back over gRPC and from the exchange's journal.")
	var problems []string
	var ids []string
	signals, words, effects, unknown := 0, 0, 0, 0
	for _, c := range d.calls {
		r, err := d.record(ctx, c)
		if err != nil {
			return err
		}
		problems = append(problems, r.audit()...)
		ids = append(ids, c.id)
		signals += r.signals
		for _, e := range r.ledger {
			if e.GetOperation().GetWasUnknown() {
				unknown++
			}
		}
		for _, e := range r.entries {
			if e.Operation != "" {
				effects++
			}
			if e.Kind == exchange.Said {
				words++
			}
		}
	}
	differ, err := d.read.Replays(ctx, ids)
	if err != nil {
		return err
	}
	published, err := d.read.Published(ctx, workflow.Ended)
	if err != nil {
		return err
	}
	if published["call-1"] != 1 || len(published) != 1 {
		problems = append(problems, fmt.Sprintf("events of calls that ended: %v, want one of call-1", published))
	}
	problems = append(problems, differ...)
	d.page.Sum("signals", fmt.Sprintf("%d acknowledged, each in its run's history once", signals))
	d.page.Sum("said", fmt.Sprintf("%d times, each once; every utterance has one reply", words))
	d.page.Sum("effects", fmt.Sprintf("%d at the exchange, each of one operation of the effect ledger", effects))
	if unknown > 0 {
		d.page.Sum("unknown outcomes", fmt.Sprintf("%d: nobody could tell whether it was said when everything died; it was sent again with the same key", unknown))
	}
	d.page.Sum("callbacks", "one confirmed, one taken back when its caller hung up, none left open")
	d.page.Sum("phases", "each call began INITIATED and ended COMPLETED; nothing had an effect before VALIDATION")
	d.page.Sum("replayed", fmt.Sprintf("%d of %d histories give their run again, byte for byte", len(ids)-len(differ), len(ids)))
	return d.page.Verdict("All of it holds", problems)
}

func (d *demo) record(ctx context.Context, c *call) (*record, error) {
	r := &record{call: c, signals: c.relay.Sent()}
	var err error
	if r.run, err = d.read.Run(ctx, c.id); err != nil {
		return nil, err
	}
	if r.history, err = d.read.History(ctx, c.id); err != nil {
		return nil, err
	}
	if r.ledger, err = d.read.Ledger(ctx, c.id, false); err != nil {
		return nil, err
	}
	r.entries, err = d.entries(c)
	return r, err
}

// audit says what does not add up.
func (r *record) audit() []string {
	var out []string
	wrong := func(format string, args ...any) {
		out = append(out, r.call.id+": "+fmt.Sprintf(format, args...))
	}
	if got := stage.Outcome(r.run.GetOutcome()); got != r.call.outcome {
		wrong("it ended %s, want %s", got, r.call.outcome)
	}
	if n := r.received(); n != r.signals {
		wrong("%d signals were acknowledged and %d are in its history", r.signals, n)
	}
	r.auditWords(wrong)
	r.auditEffects(wrong)
	r.auditPhases(wrong)
	return out
}

// received counts the signals in the history; one that is there twice under one identity counts for a thousand.
func (r *record) received() int {
	n, ids := 0, map[string]bool{}
	for _, ev := range r.history {
		if s := ev.GetSignalReceived(); s != nil {
			if ids[s.GetRequestId()] {
				n += 1000
			}
			ids[s.GetRequestId()] = true
			n++
		}
	}
	return n
}

// auditWords holds what was said and booked.
func (r *record) auditWords(wrong func(string, ...any)) {
	said, replies, callbacks := map[string]int{}, 0, []exchange.Kind{}
	for _, e := range r.entries {
		if e.Kind == exchange.Said {
			said[e.Key]++
		}
		if isReply(e) {
			replies++
		}
		if e.Callback != "" {
			callbacks = append(callbacks, e.Kind)
		}
	}
	for key, n := range said {
		if n > 1 {
			wrong("%s was said %d times", key, n)
		}
	}
	if replies != r.call.answered {
		wrong("%d utterances had %d replies", r.call.answered, replies)
	}
	var want []exchange.Kind
	if r.call.callback != "" {
		want = []exchange.Kind{exchange.Booked, r.call.callback}
	}
	if !slices.Equal(callbacks, want) {
		wrong("its callbacks went %v, want %v", callbacks, want)
	}
}

// auditEffects holds every effect at the exchange against the ledger, and every operation with a key of its own against the exchange. (The others
// may have found everything done.)
func (r *record) auditEffects(wrong func(string, ...any)) {
	happened := map[string]int{}
	for _, e := range r.entries {
		if e.Operation != "" {
			happened[e.Operation]++
		}
	}
	for _, e := range r.ledger {
		op, id := e.GetOperation(), e.GetRunId()+"/"+e.GetOperation().GetId()
		n := happened[id]
		delete(happened, id)
		done := op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED || op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED
		switch {
		case n > 1:
			wrong("%s of %s had %d effects", op.GetTool(), id, n)
		case n == 0 && done && op.GetEffect() > workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE:
			wrong("%s of %s is recorded as done, and the exchange has no effect of it", op.GetTool(), id)
		}
	}
	for id := range happened {
		wrong("the exchange has an effect of %s, which the ledger does not know", id)
	}
}

// auditPhases holds the macro machine: it begins INITIATED, ends COMPLETED, and nothing is changed before something was validated.
func (r *record) auditPhases(wrong func(string, ...any)) {
	var phases []workflowv1.Phase
	validated := false
	for _, ev := range r.history {
		if entered := ev.GetStateEntered(); entered != nil {
			phases = append(phases, entered.GetPhase())
			validated = validated || entered.GetPhase() == workflowv1.Phase_PHASE_VALIDATION
		}
		if op := ev.GetOperationIntended().GetOperation(); op.GetEffect() > workflowv1.Effect_EFFECT_READ && !validated {
			wrong("%s was called before anything was validated", op.GetTool())
		}
	}
	if len(phases) == 0 || phases[0] != workflowv1.Phase_PHASE_INITIATED || phases[len(phases)-1] != workflowv1.Phase_PHASE_COMPLETED {
		wrong("its phases are %v", strings.TrimSpace(fmt.Sprint(phases)))
	}
}
