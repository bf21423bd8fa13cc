package engine

import (
	"bytes"
	"slices"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// A step has one effect a key, and a sub-workflow one an input: a visit under a key of an earlier visit is answered by what that one did. The record of
// a step has the effect of its last visit in fields of its own, and those under other keys beside it.

// lastEffect is the effect that a record holds for the step's last visit that had one.
func lastEffect(rec *workflowv1.StepRecord) *workflowv1.StandingEffect {
	return &workflowv1.StandingEffect{
		IdempotencyKey: rec.GetIdempotencyKey(), ArgumentsDigest: rec.GetArgumentsDigest(), EffectSequence: rec.GetEffectSequence(),
	}
}

func setLastEffect(rec *workflowv1.StepRecord, e *workflowv1.StandingEffect) {
	rec.HoldsEffect, rec.Effects = e != nil, 0
	rec.IdempotencyKey, rec.ArgumentsDigest, rec.EffectSequence = e.GetIdempotencyKey(), e.GetArgumentsDigest(), e.GetEffectSequence()
}

// keptEffects is how many effects beside the last a record has in full. Of those before them only the keys are kept, so that the head does not grow
// with the visits of a step whose key counts them.
const keptEffects = 8

// standing is the effect of a step that stands under a key or, of a sub-workflow, for an input; nil: there is none.
func standing(rec *workflowv1.StepRecord, want *workflowv1.StandingEffect) *workflowv1.StandingEffect {
	if !rec.GetHoldsEffect() {
		return nil
	}
	if last := lastEffect(rec); sameEffect(last, want) {
		return last
	}
	for _, e := range rec.GetEarlierEffects() {
		if sameEffect(e, want) {
			return e
		}
	}
	if olderIndex(rec, want) >= 0 {
		return want
	}
	return nil
}

// keepEffects takes over what stands of a step's record into the next one.
func keepEffects(rec, old *workflowv1.StepRecord) {
	if !old.GetHoldsEffect() {
		return
	}
	rec.EarlierEffects, rec.OlderEffects = old.GetEarlierEffects(), old.GetOlderEffects()
	if !rec.GetHoldsEffect() {
		setLastEffect(rec, lastEffect(old))
		rec.Effects = old.GetEffects()
		return
	}
	if now := lastEffect(rec); !sameEffect(lastEffect(old), now) {
		dropEffect(rec, now)
		rec.EarlierEffects = append(rec.EarlierEffects, lastEffect(old))
	}
	if len(rec.GetEarlierEffects()) > keptEffects {
		addOlder(rec, rec.GetEarlierEffects()[0])
		rec.EarlierEffects = slices.Delete(rec.GetEarlierEffects(), 0, 1)
	}
}

// dropEffect takes an effect off a record that is not its last one.
func dropEffect(rec *workflowv1.StepRecord, gone *workflowv1.StandingEffect) {
	rec.EarlierEffects = slices.DeleteFunc(rec.GetEarlierEffects(), func(e *workflowv1.StandingEffect) bool { return sameEffect(e, gone) })
	dropOlder(rec, gone)
}

// sameEffect reports whether two effects of a step are one: they have one key or, where there is none, one input.
func sameEffect(a, b *workflowv1.StandingEffect) bool {
	return a.GetIdempotencyKey() == b.GetIdempotencyKey() && (a.GetIdempotencyKey() != "" || bytes.Equal(a.GetArgumentsDigest(), b.GetArgumentsDigest()))
}

// effectReused makes the effect that answered a visit that of the last one: an edit of the step's output is one of this effect's.
func effectReused(rec *workflowv1.StepRecord, seq uint64) {
	i := slices.IndexFunc(rec.GetEarlierEffects(), func(e *workflowv1.StandingEffect) bool { return e.GetEffectSequence() == seq })
	if i < 0 {
		return
	}
	e := rec.GetEarlierEffects()[i]
	rec.EarlierEffects = append(slices.Delete(rec.GetEarlierEffects(), i, i+1), lastEffect(rec))
	setLastEffect(rec, e)
}

// lastEffectUndone leaves what stands of earlier visits.
func lastEffectUndone(rec *workflowv1.StepRecord) {
	n := len(rec.GetEarlierEffects())
	if n == 0 {
		setLastEffect(rec, takeOlder(rec))
		return
	}
	setLastEffect(rec, rec.GetEarlierEffects()[n-1])
	rec.EarlierEffects = slices.Delete(rec.GetEarlierEffects(), n-1, n)
}

// undoneEffect is what an undo undid; nil: it names nothing, as that of an agent's task, and is of whatever the step did last.
func undoneEffect(e *workflowv1.UndoSettled) *workflowv1.StandingEffect {
	switch {
	case e.GetUndone() != nil:
		return &workflowv1.StandingEffect{IdempotencyKey: e.GetUndone().GetIdempotencyKey()}
	case len(e.GetInputDigest()) > 0:
		return &workflowv1.StandingEffect{ArgumentsDigest: e.GetInputDigest()}
	}
	return nil
}
