package core

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

const (
	// maxOutput is how much of one step's output an envelope shows, and maxOutputs how much of all of them: the newest come first.
	maxOutput  = 4 << 10
	maxOutputs = 512 << 10
	// maxSteps is how many steps an envelope shows; the newest are kept.
	maxSteps = 500
)

// Step is a step's result in an envelope.
type Step struct {
	// Path of the step, as state/step.
	Path string
	// Status tells how it ended.
	Status workflowv1.StepStatus
	// Output, raw JSON, cut after 4 KiB. Empty: there is none.
	Output []byte
	// Truncated tells whether the output is cut.
	Truncated bool
	// Time at which it ended.
	Time time.Time
}

// finished is a step's result on its way into an envelope.
type finished struct {
	Step
	output *workflowv1.Payload
	reused uint64 // sequence of the event that holds the output instead; 0: output is it
}

// gatherSteps tells the steps so far: every visit within the newest part of the history, and of steps that ended before that their
// last result. So it is bounded however long the history grew. Of an escalation that has ended it tells those before the question.
func (i *Inbox) gatherSteps(ctx context.Context, envelope *Envelope) error {
	first, last := i.window(envelope)
	steps, err := i.stepsBefore(ctx, envelope, first)
	if err != nil {
		return err
	}
	if last > 0 {
		err = i.ports.Runs.EachEvent(ctx, envelope.Record.run(), first, last, func(event *workflowv1.HistoryEvent) {
			steps = fold(steps, event)
		})
		if err != nil {
			return err
		}
	}
	if len(steps) > maxSteps {
		steps = steps[len(steps)-maxSteps:]
	}
	if err := i.fill(ctx, envelope.Record.run(), steps); err != nil {
		return err
	}
	for _, step := range steps {
		envelope.Steps = append(envelope.Steps, step.Step)
	}
	return nil
}

// window is the newest part of the history, up to now, or to the question that has ended.
func (i *Inbox) window(envelope *Envelope) (first, last uint64) {
	last = envelope.Run.GetSequence()
	if envelope.Record.State != StateOpen {
		last = min(last, envelope.Record.OpenSequence)
	}
	if last > i.historyWindow {
		return last - i.historyWindow + 1, last
	}
	return 1, last
}

// stepsBefore returns the last results that the head of the run names by events before first, in order of completion. Those without
// an output are not among them: the head does not tell when they ended.
func (i *Inbox) stepsBefore(ctx context.Context, envelope *Envelope, first uint64) ([]*finished, error) {
	statuses := map[uint64]workflowv1.StepStatus{}
	var sequences []uint64
	for _, record := range envelope.Run.GetSteps() {
		if sequence := record.GetOutputSequence(); sequence > 0 && sequence < first {
			statuses[sequence] = record.GetStatus()
			sequences = append(sequences, sequence)
		}
	}
	if len(sequences) == 0 {
		return nil, nil
	}
	slices.Sort(sequences)
	events, err := i.ports.Runs.Events(ctx, envelope.Record.run(), sequences)
	if err != nil {
		return nil, err
	}
	var steps []*finished
	for _, event := range events {
		path, output := outputOf(event)
		steps = append(steps, &finished{
			Step:   Step{Path: path, Status: statuses[event.GetSequence()], Time: event.GetTime().AsTime()},
			output: output,
		})
	}
	return steps, nil
}

// outputOf returns the step and the output that an event holds. Of an edit, only the step's id is known.
func outputOf(event *workflowv1.HistoryEvent) (stepPath string, output *workflowv1.Payload) {
	switch fact := event.GetFact().(type) {
	case *workflowv1.HistoryEvent_StepCompleted:
		return fact.StepCompleted.GetStepPath(), fact.StepCompleted.GetOutput()
	case *workflowv1.HistoryEvent_OperationSucceeded:
		return fact.OperationSucceeded.GetStepPath(), fact.OperationSucceeded.GetOutput()
	case *workflowv1.HistoryEvent_OutcomeSettled:
		return fact.OutcomeSettled.GetStepPath(), fact.OutcomeSettled.GetOutput()
	case *workflowv1.HistoryEvent_ReceiptRecorded:
		return fact.ReceiptRecorded.GetOperation().GetStepPath(), fact.ReceiptRecorded.GetOutput()
	case *workflowv1.HistoryEvent_RunEdited:
		return fact.RunEdited.GetStepId(), fact.RunEdited.GetValue()
	}
	return "", nil
}

// fold adds what an event says about finished steps.
func fold(steps []*finished, event *workflowv1.HistoryEvent) []*finished {
	ended := &finished{Step: Step{Time: event.GetTime().AsTime()}}
	switch fact := event.GetFact().(type) {
	case *workflowv1.HistoryEvent_StepCompleted:
		completed := fact.StepCompleted
		ended.Path, ended.Status = completed.GetStepPath(), completed.GetStatus()
		ended.output, ended.reused = completed.GetOutput(), completed.GetReusedSequence()
		return append(steps, ended)
	case *workflowv1.HistoryEvent_StepFailed:
		ended.Path, ended.Status = fact.StepFailed.GetStepPath(), workflowv1.StepStatus_STEP_STATUS_FAILED
		return append(steps, ended)
	case *workflowv1.HistoryEvent_UndoSettled:
		if fact.UndoSettled.GetSucceeded() {
			markUndone(steps, fact.UndoSettled.GetStepPath())
		}
	case *workflowv1.HistoryEvent_RunEdited:
		if fact.RunEdited.GetStepId() != "" {
			ended.Path, ended.output = outputOf(event)
			ended.Status = workflowv1.StepStatus_STEP_STATUS_SUCCEEDED
			return edit(steps, ended)
		}
	}
	return steps
}

// edit puts another output in the place of that of a step's newest visit. One that ended before the steps at hand is added: the step's id is all
// that edited has for a path.
func edit(steps []*finished, edited *finished) []*finished {
	for _, step := range slices.Backward(steps) {
		if step.Path[strings.LastIndexByte(step.Path, '/')+1:] == edited.Path {
			step.output, step.reused = edited.output, 0
			return steps
		}
	}
	return append(steps, edited)
}

// markUndone marks the newest success of a step, which is the one that an undo takes back first.
func markUndone(steps []*finished, stepPath string) {
	for _, step := range slices.Backward(steps) {
		if step.Path == stepPath && step.Status == workflowv1.StepStatus_STEP_STATUS_SUCCEEDED {
			step.Status = workflowv1.StepStatus_STEP_STATUS_COMPENSATED
			return
		}
	}
}

// fill cuts the outputs to size, the newest first, until all together have what an envelope may hold.
func (i *Inbox) fill(ctx context.Context, run RunRef, steps []*finished) error {
	if err := i.fetchReused(ctx, run, steps); err != nil {
		return err
	}
	room := maxOutputs
	for _, step := range slices.Backward(steps) {
		limit := min(maxOutput, room)
		if artifact := step.output.GetArtifact(); artifact != nil {
			step.Truncated = artifact.GetSizeBytes() > uint64(limit)
			if limit > 0 {
				shown, err := i.ports.Artifacts.Artifact(ctx, run.Namespace, artifact.GetDigest(), uint64(limit))
				if err != nil {
					return err
				}
				step.Output = cut(shown, limit, step.Truncated)
			}
		} else {
			inline := step.output.GetInline()
			step.Truncated = len(inline) > limit
			step.Output = cut(inline, limit, step.Truncated)
		}
		room -= len(step.Output)
	}
	return nil
}

// fetchReused reads the outputs that steps took from earlier visits.
func (i *Inbox) fetchReused(ctx context.Context, run RunRef, steps []*finished) error {
	var reusing []*finished
	for _, step := range steps {
		if step.reused > 0 {
			reusing = append(reusing, step)
		}
	}
	if len(reusing) == 0 {
		return nil
	}
	var sequences []uint64
	for _, step := range reusing {
		sequences = append(sequences, step.reused)
	}
	slices.Sort(sequences)
	events, err := i.ports.Runs.Events(ctx, run, slices.Compact(sequences))
	if err != nil {
		return err
	}
	outputs := map[uint64]*workflowv1.Payload{}
	for _, event := range events {
		_, outputs[event.GetSequence()] = outputOf(event)
	}
	for _, step := range reusing {
		step.output = outputs[step.reused]
	}
	return nil
}

// cut shortens raw bytes to a limit without leaving half a letter at the end.
func cut(raw []byte, limit int, truncated bool) []byte {
	raw = raw[:min(len(raw), limit)]
	if !truncated {
		return raw
	}
	for n := len(raw); n > 0 && n > len(raw)-utf8.UTFMax; n-- {
		if utf8.RuneStart(raw[n-1]) {
			if !utf8.FullRune(raw[n-1:]) {
				return raw[:n-1]
			}
			break
		}
	}
	return raw
}
