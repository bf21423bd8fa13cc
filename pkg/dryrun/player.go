package dryrun

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// player0 is who starts, works and decides in a dry run.
const player0 = "dry-run"

// player plays one run. It is what a scheduler and everything behind it are to a real one: it hands inputs to the interpreter, keeps what
// follows, and answers the commands.
type player struct {
	def      *workflow.Definition
	opts     *Options
	failures []*failing
	// parent is the player of the run that this one is a sub-workflow of; nil: none.
	parent *player
	// left is how many events there may still be, over all players.
	left *int

	fold   *engine.Fold
	now    time.Time
	events []*workflowv1.HistoryEvent
	rows   map[string]*workflowv1.Operation
	order  []string

	// queue are inputs that have come, later those that come at their time.
	queue []engine.InputEvent
	later []appointment

	sources  map[string]string
	children map[string]*player
	cache    map[string]*cached
	log      []logged
	// offered are what was given to waits, by path and sequence.
	offered map[string]*offers
	// stuck are things that nobody here answers: escalations by id, waits by path and sequence, sub-workflows by run id.
	stuck map[string]bool
}

// cached is an output that a step of this run left in the cache. Those of other runs are not there.
type cached struct {
	output json.RawMessage
	at     time.Time
}

func (c *cached) value() json.RawMessage {
	if c == nil {
		return nil
	}
	return c.output
}

func (c *cached) time() time.Time {
	if c == nil {
		return time.Time{}
	}
	return c.at
}

// appointment is an input that comes at its time.
type appointment struct {
	at time.Time
	ev engine.InputEvent
}

// logged is an event in the log that the run's waits read. Sequence is the run's event that emitted it; 0: it came from outside.
type logged struct {
	position uint64
	sequence uint64
	event    *workflowv1.EmittedEvent
}

func newPlayer(def *workflow.Definition, o *Options, failures []*failing, now time.Time, left *int) *player {
	return &player{
		def: def, opts: o, failures: failures, left: left, fold: engine.NewFold(nil), now: now.UTC().Truncate(time.Microsecond),
		rows: map[string]*workflowv1.Operation{}, sources: map[string]string{}, children: map[string]*player{},
		cache: map[string]*cached{}, offered: map[string]*offers{}, stuck: map[string]bool{},
	}
}

func (p *player) run() *workflowv1.Run { return p.fold.Run }

func (p *player) ended() bool { return p.run().GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED }

// Event implements engine.Source.
func (p *player) Event(sequence uint64) *workflowv1.HistoryEvent {
	if sequence == 0 || sequence > uint64(len(p.events)) {
		return nil
	}
	return p.events[sequence-1]
}

// breakerPause is how long an injected breaker stays open.
const breakerPause = 30 * time.Second

// Upgrade implements engine.Gate: a dry run is one of its own version.
func (p *player) Upgrade(*workflow.Definition, *workflowv1.Run, string) *workflow.Definition {
	return nil
}

// Admit implements engine.Gate: every slot is free, and a breaker is open only where that is injected.
func (p *player) Admit(_, _, _, stepPath string) engine.Admission {
	id := stepPath[strings.LastIndexByte(stepPath, '/')+1:]
	a := p.active(stepPath)
	if a != nil {
		if s := engine.Work(p.def, a); s != nil {
			id = s.ID
		}
	}
	undo := a.GetUndoSequence() != 0 || p.run().GetStatus() == workflowv1.RunStatus_RUN_STATUS_COMPENSATING
	if p.fails(id, undo, errorsv1.ErrorType_ERROR_TYPE_CIRCUIT_OPEN) != nil {
		return engine.Admission{Verdict: engine.BreakerOpen, Until: p.now.Add(breakerPause)}
	}
	return engine.Admission{Verdict: engine.Granted, Incarnation: player0}
}

// play gives an input and whatever follows from it, until nothing does.
func (p *player) play(ctx context.Context, ev engine.InputEvent) error {
	if err := p.give(ctx, ev); err != nil {
		return err
	}
	idle := 0
	for *p.left > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(p.queue) == 0 && !p.bringEvents() {
			if !p.letTimePass() || idle > 2 {
				return nil
			}
			idle++
			continue
		}
		next := p.queue[0]
		p.queue = p.queue[1:]
		before := len(p.events)
		if err := p.give(ctx, next); err != nil && !isRefusal(err) {
			return err
		}
		if len(p.events) > before {
			idle = 0
		}
	}
	return nil
}

// letTimePass lets the clock jump to the next moment at which something happens; false: there is none.
func (p *player) letTimePass() bool {
	wake := engine.NextWake(p.run())
	if len(p.later) > 0 && (wake.IsZero() || !p.later[0].at.After(wake)) {
		p.now = latest(p.now, p.later[0].at)
		p.queue = append(p.queue, p.later[0].ev)
		p.later = p.later[1:]
		return true
	}
	if wake.IsZero() || p.standsStill() {
		return false
	}
	p.now = latest(p.now, wake)
	p.queue = append(p.queue, engine.Tick{})
	return true
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// standsStill reports whether all that the run waits for is something that nobody answers: then its deadlines are not waited for.
func (p *player) standsStill() bool {
	still := false
	for _, a := range p.run().GetActive() {
		switch {
		case p.stuck[a.GetEscalationId()] && a.GetEscalationId() != "", p.stuck[waitKey(a)] && a.GetEventWait() != nil, p.stuck[a.GetChildRunId()] && a.GetChildRunId() != "":
			still = true
		case a.GetWakeTime() != nil:
			return false
		}
	}
	return still
}

// give hands an input to the interpreter and keeps what follows. A refusal is returned: nothing changed.
func (p *player) give(ctx context.Context, ev engine.InputEvent) error {
	res, err := engine.Next(p.def, p.fold, p, p, engine.Input{Time: p.now, Jitter: 0.5, Event: ev})
	var refusal *engine.Refusal
	if errors.As(err, &refusal) {
		p.refused(ev, refusal)
	}
	if err != nil {
		return err
	}
	for _, e := range res.Events {
		p.events = append(p.events, proto.CloneOf(e)) // the head shares parts with the event, and changes
		*p.left--
	}
	for _, op := range res.Operations {
		if p.rows[op.GetId()] == nil {
			p.order = append(p.order, op.GetId())
		}
		p.rows[op.GetId()] = proto.CloneOf(op)
	}
	for _, e := range res.Events {
		p.noticed(ctx, e)
	}
	for _, c := range res.Commands {
		if err := p.obey(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// refused does something else in place of an input that was not taken.
func (p *player) refused(ev engine.InputEvent, r *engine.Refusal) {
	switch ev := ev.(type) {
	case engine.CompleteTask:
		p.queue = append(p.queue, engine.FailTask{StepPath: ev.StepPath, TokenDigest: ev.TokenDigest, Message: r.Message})
	case engine.Decide:
		p.stuck[ev.EscalationID] = true
	}
}

// noticed looks at what the run made known.
func (p *player) noticed(ctx context.Context, ev *workflowv1.HistoryEvent) {
	if e := ev.GetStepCompleted().GetEvent(); e != nil {
		p.log = append(p.log, logged{position: uint64(len(p.log) + 1), sequence: ev.GetSequence(), event: e})
	}
	if e := ev.GetEscalationOpened(); e != nil {
		p.asked(ctx, e)
	}
}

// token stands for the secret of every claim.
var token = sha256.Sum256([]byte(player0))

// obey answers a command.
func (p *player) obey(ctx context.Context, c engine.Command) error {
	switch c := c.(type) {
	case engine.Invoke:
		ev, err := p.invoked(ctx, c)
		if err != nil {
			return err
		}
		p.queue = append(p.queue, ev)
	case engine.OfferTask:
		if !c.Claimed {
			p.offeredTask(ctx, c)
		}
	case engine.AcquireLock:
		p.lock(c.Hold)
	case engine.ReleaseLock:
		p.queue = append(p.queue, engine.LockFreed{AcquisitionID: c.Hold.GetAcquisitionId()})
	case engine.Proceed:
		p.queue = append(p.queue, engine.Continue{})
	case engine.Gather:
		p.queue = append(p.queue, p.gather(c))
	case engine.LookUpCache:
		kept := p.cache[c.StepID+"/"+c.Key]
		p.queue = append(p.queue, engine.CacheAnswered{StepPath: c.StepPath, Key: c.Key, Found: kept != nil, Value: kept.value(), Time: kept.time()})
	case engine.StoreCache:
		p.cache[c.StepID+"/"+c.Key] = &cached{output: c.Value, at: p.now}
	case engine.StartChild:
		return p.startChild(ctx, c)
	case engine.CancelChild:
		p.cancelChild(c.RunID)
	case engine.UndoChild:
		return p.undoChild(ctx, c)
	}
	return nil
}

// lock grants a lock at once, unless it is to be overdue.
func (p *player) lock(h *workflowv1.LockHold) {
	id := h.GetStepPath()[strings.LastIndexByte(h.GetStepPath(), '/')+1:]
	if id != "" && p.fails(id, false, errorsv1.ErrorType_ERROR_TYPE_LOCK_OVERDUE) != nil {
		return
	}
	p.queue = append(p.queue, engine.LockAcquired{AcquisitionID: h.GetAcquisitionId(), Token: fmt.Sprintf("%s-%d", player0, len(p.events))})
}

func (p *player) gather(c engine.Gather) engine.InputEvent {
	outputs := engine.NewItemOutputs(c)
	for seq := c.From; seq <= min(c.To, uint64(len(p.events))); seq++ {
		outputs.Add(p.Event(seq))
	}
	list, err := outputs.List(p.Event)
	ev := engine.Gathered{StepPath: c.StepPath, From: c.From, Outputs: list}
	if err != nil {
		ev.Problem = err.Error()
	}
	return ev
}

// fails takes one of the failures that are to be injected into a step; nil: there is none left. Without types, it is one of any type but
// those that are injected elsewhere.
func (p *player) fails(id string, undo bool, types ...errorsv1.ErrorType) *failing {
	for _, f := range p.failures {
		elsewhere := f.kind == errorsv1.ErrorType_ERROR_TYPE_CIRCUIT_OPEN || f.kind == errorsv1.ErrorType_ERROR_TYPE_LOCK_OVERDUE
		fits := slices.Contains(types, f.kind) || len(types) == 0 && !elsewhere
		if f.StepID != id || f.Undo != undo || !fits || f.Times > 0 && f.left == 0 {
			continue
		}
		f.left--
		return f
	}
	return nil
}

func (p *player) active(path string) *workflowv1.ActiveStep {
	for _, a := range p.run().GetActive() {
		if a.GetPath() == path {
			return a
		}
	}
	return nil
}

func text(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		return json.RawMessage(`""`)
	}
	return b
}
