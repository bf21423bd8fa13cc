package engine

import (
	"slices"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// maxConsumedEvents bounds what the head remembers of the events it has taken; older ones count as taken.
const maxConsumedEvents = 128

// signalReceived remembers a signal's identity, and the signal until a step takes it.
func (f *Fold) signalReceived(s *workflowv1.SignalReceived, seq uint64) {
	f.remember(signalRequest(s.GetRequestId(), s.GetName(), s.GetValue()))
	if s.GetKept() {
		f.Run.PendingSignals = append(f.Run.PendingSignals, &workflowv1.PendingSignal{Name: s.GetName(), Sequence: seq})
	}
}

// remember makes a repetition of a client's request harmless.
func (f *Fold) remember(c clientRequest) {
	if c.id == "" {
		return
	}
	f.Run.RecentSignals = append(f.Run.RecentSignals, c.String())
	if n := len(f.Run.RecentSignals); n > maxRecentSignals {
		f.Run.RecentSignals = slices.Delete(f.Run.RecentSignals, 0, n-maxRecentSignals)
	}
}

// maxRecentSignals bounds what the head remembers of signals; a repetition older than that is a new signal.
const maxRecentSignals = 64

// eventConsumed takes an event or a signal for a step.
func (f *Fold) eventConsumed(e *workflowv1.EventConsumed, seq uint64) {
	r := f.Run
	if s := e.GetSignalSequence(); s != 0 {
		seq = s
		r.PendingSignals = slices.DeleteFunc(r.PendingSignals, func(p *workflowv1.PendingSignal) bool { return p.GetSequence() == s })
	} else {
		at, there := slices.BinarySearch(r.ConsumedEvents, e.GetPosition())
		if !there {
			r.ConsumedEvents = slices.Insert(r.ConsumedEvents, at, e.GetPosition())
		}
		if n := len(r.ConsumedEvents) - maxConsumedEvents; n > 0 {
			r.EventFloor = r.ConsumedEvents[n-1]
			r.ConsumedEvents = slices.Delete(r.ConsumedEvents, 0, n)
		}
	}
	if w := f.active(e.GetStepPath()).GetEventWait(); int(e.GetFilter()) < len(w.GetMatched()) {
		w.Matched[e.GetFilter()] = seq
	}
}
