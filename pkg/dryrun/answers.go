package dryrun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

const injected = "injected by the dry run"

// invoked answers an attempt.
func (p *player) invoked(ctx context.Context, c engine.Invoke) (engine.InputEvent, error) {
	op, a := c.Operation, p.active(c.StepPath)
	s := engine.Work(p.def, a)
	answer := engine.Answered{OperationID: op.GetId(), Attempt: op.GetAttempt()}
	args := engine.Arguments(p.Event(op.GetArgumentsSequence()))
	var err error
	switch {
	case op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_PROBE:
		answer.Output, answer.IsError, err = p.probed(ctx, c, args)
	case s == nil:
		answer.Output = json.RawMessage("null")
	case op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_COMPENSATION:
		if f := p.fails(s.ID, true); f != nil {
			return failed(op, f, s), nil
		}
		answer.Output = p.undone(s)
	default:
		if f := p.fails(s.ID, false); f != nil {
			return failed(op, f, s), nil
		}
		answer.Output, answer.IsError, err = p.called(ctx, c, s, args)
	}
	if err == nil {
		return answer, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	none := engine.Unanswered{OperationID: op.GetId(), Attempt: op.GetAttempt(), Type: errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE, Message: err.Error()}
	var failure *CallError
	if errors.As(err, &failure) {
		none.Type = failure.Type
	}
	return none, nil
}

// failed is an attempt that fails as it was asked for. An answer that does not come in time leaves open whether the call had its effect.
func failed(op *workflowv1.OpenOperation, f *failing, s *workflow.Step) engine.InputEvent {
	answer := engine.Answered{OperationID: op.GetId(), Attempt: op.GetAttempt()}
	none := engine.Unanswered{OperationID: op.GetId(), Attempt: op.GetAttempt(), Type: f.kind, Message: injected}
	switch f.kind {
	case errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR:
		answer.IsError, answer.Output = true, text(injected)
		return answer
	case errorsv1.ErrorType_ERROR_TYPE_SCHEMA:
		answer.Output, _ = misfit(s)
		return answer
	case errorsv1.ErrorType_ERROR_TYPE_UNKNOWN_OUTCOME:
		none.Type, none.Unknown = errorsv1.ErrorType_ERROR_TYPE_TIMEOUT, true
	case errorsv1.ErrorType_ERROR_TYPE_TIMEOUT:
		none.Unknown = true
	}
	return none
}

// called is the answer to a step's call.
func (p *player) called(ctx context.Context, c engine.Invoke, s *workflow.Step, args json.RawMessage) (json.RawMessage, bool, error) {
	v, source, ok := p.known(c.StepPath, s)
	if mayCall := p.opts.Reader != nil && s.Tool != nil && s.Tool.Effect == workflowv1.Effect_EFFECT_READ; mayCall && (!ok || source == SourceDryRunOutput) {
		p.sources[s.ID] = SourceCalled
		return p.read(ctx, c, args)
	}
	if !ok {
		v, source = p.sampled(s)
	}
	p.sources[s.ID] = source
	return v, false, nil
}

// read really calls a READ tool. Its time is that of the attempt.
func (p *player) read(ctx context.Context, c engine.Invoke, args json.RawMessage) (json.RawMessage, bool, error) {
	op := c.Operation
	return p.opts.Reader.Read(ctx, Call{
		Definition: p.def, RunID: p.opts.RunID, Server: op.GetServer(), Tool: op.GetTool(), StepPath: c.StepPath, OperationID: op.GetId(),
		Attempt: op.GetAttempt(), Arguments: args, Timeout: op.GetDeadline().AsTime().Sub(op.GetIntentTime().AsTime()),
	})
}

// known is an output that somebody gave: for the dry run, by another run, or with the definition.
func (p *player) known(path string, s *workflow.Step) (v json.RawMessage, source string, ok bool) {
	if v, ok := p.opts.Outputs[s.ID]; ok {
		return v, SourceGiven, true
	}
	for _, at := range []string{path, s.ID} {
		if v, ok := p.opts.Recorded[at]; ok {
			return v, SourceRecorded, true
		}
	}
	if d := s.Proto.GetDryRunOutput(); d != nil {
		if v, err := json.Marshal(d.AsMap()); err == nil {
			return v, SourceDryRunOutput, true
		}
	}
	return nil, "", false
}

// sampled is an output that nobody gave.
func (p *player) sampled(s *workflow.Step) (json.RawMessage, string) {
	schema := s.Output
	if schema == nil && s.Tool != nil {
		schema = s.Tool.OutputSchema
	}
	return sampleOf(schema)
}

func sampleOf(schema *workflow.Schema) (json.RawMessage, string) {
	if schema == nil {
		return json.RawMessage("null"), SourceNull
	}
	v, err := Sample(schema)
	if err != nil {
		return json.RawMessage("null"), SourceNull
	}
	return v, SourceSample
}

func (p *player) output(path string, s *workflow.Step) json.RawMessage {
	v, source, ok := p.known(path, s)
	if !ok {
		v, source = p.sampled(s)
	}
	p.sources[s.ID] = source
	return v
}

// undone is the answer to the undo of a step.
func (p *player) undone(s *workflow.Step) json.RawMessage {
	if s.Compensate == nil || s.Compensate.Tool == nil {
		return json.RawMessage("null")
	}
	v, _ := sampleOf(s.Compensate.Tool.OutputSchema)
	return v
}

// probed is the answer of a probe: it is a READ, and may be called.
func (p *player) probed(ctx context.Context, c engine.Invoke, args json.RawMessage) (json.RawMessage, bool, error) {
	if p.opts.Reader != nil {
		return p.read(ctx, c, args)
	}
	v := json.RawMessage("null")
	if pol, ok := p.def.ToolPolicy(c.Operation.GetServer(), c.Operation.GetTool()); ok {
		v, _ = sampleOf(pol.OutputSchema)
	}
	return v, false, nil
}

// offeredTask works an agent's task: it is claimed, and completed without a call.
func (p *player) offeredTask(_ context.Context, c engine.OfferTask) {
	s := engine.Work(p.def, p.active(c.StepPath))
	p.queue = append(p.queue, engine.ClaimTask{StepPath: c.StepPath, TokenDigest: token[:], Worker: player0})
	if s == nil {
		return
	}
	switch f := p.fails(s.ID, false); {
	case f == nil:
		p.queue = append(p.queue, engine.CompleteTask{StepPath: c.StepPath, TokenDigest: token[:], Output: p.output(c.StepPath, s)})
	case f.kind == errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR:
		p.queue = append(p.queue, engine.FailTask{StepPath: c.StepPath, TokenDigest: token[:], Message: injected})
	case f.kind == errorsv1.ErrorType_ERROR_TYPE_BUDGET:
		p.queue = append(p.queue, engine.ReportUsage{StepPath: c.StepPath, TokenDigest: token[:], Turns: s.Agent.Budget.GetMaxTurns() + 1})
	default: // it takes longer than it may
	}
}

// asked answers what a person is asked: a gate with the decision that was given for it, or its first; anything else only with one that was given.
func (p *player) asked(_ context.Context, e *workflowv1.EscalationOpened) {
	a := p.active(e.GetStepPath())
	s := engine.Work(p.def, a)
	if s == nil {
		p.stuck[e.GetEscalationId()] = true
		return
	}
	gate := e.GetKind() == workflowv1.EscalationKind_ESCALATION_KIND_GATE
	if gate && p.fails(s.ID, false, errorsv1.ErrorType_ERROR_TYPE_DECISION_OVERDUE) != nil {
		return
	}
	decision := p.opts.Decisions[s.ID]
	if gate && !slices.Contains(e.GetDecisions(), decision) {
		decision = p.gateDecision(s, e)
	}
	if !slices.Contains(e.GetDecisions(), decision) {
		p.stuck[e.GetEscalationId()] = true
		return
	}
	d := engine.Decide{EscalationID: e.GetEscalationId(), Decision: decision, SubjectDigest: e.GetSubjectDigest()}
	if decision == engine.DecisionProvideOutput || decision == engine.DecisionHappened {
		d.Value = p.output(e.GetStepPath(), s)
	}
	for i := range max(e.GetQuorum(), 1) {
		d.By = fmt.Sprintf("%s-%d", player0, i+1)
		if settle := settleTime(a, e.GetOperationId()); decision == engine.DecisionDidNotHappen && settle.After(p.now) {
			p.appoint(settle, d)
			continue
		}
		p.queue = append(p.queue, d)
	}
}

// gateDecision is what a gate decides when nobody said: what another run decided, or the definition's dry_run_output says, else the first.
func (p *player) gateDecision(s *workflow.Step, e *workflowv1.EscalationOpened) string {
	p.sources[s.ID] = SourceSample
	if v, source, ok := p.known(e.GetStepPath(), s); ok {
		var out struct {
			Decision string `json:"decision"`
		}
		if json.Unmarshal(v, &out) == nil && slices.Contains(e.GetDecisions(), out.Decision) {
			p.sources[s.ID] = source
			return out.Decision
		}
	}
	if len(e.GetDecisions()) == 0 {
		return ""
	}
	return e.GetDecisions()[0]
}

// settleTime is when it can be said that an operation did not happen.
func settleTime(a *workflowv1.ActiveStep, operation string) time.Time {
	for _, op := range append([]*workflowv1.OpenOperation{a.GetOperation()}, a.GetTask().GetOpenCalls()...) {
		if op.GetId() == operation && op.GetSettleTime() != nil {
			return op.GetSettleTime().AsTime()
		}
	}
	return time.Time{}
}

// appoint lets an input come at its time.
func (p *player) appoint(at time.Time, ev engine.InputEvent) {
	i := slices.IndexFunc(p.later, func(o appointment) bool { return o.at.After(at) })
	if i < 0 {
		i = len(p.later)
	}
	p.later = slices.Insert(p.later, i, appointment{at: at, ev: ev})
}

func problemOf(f *failing, path string) *workflowv1.Problem {
	return &workflowv1.Problem{Type: f.kind, Message: errtype.Name(f.kind) + ": " + injected, StepPath: path}
}
