package engine

import (
	"bytes"
	"slices"
	"strconv"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// olderEffect is an effect as one of those of which only the key is kept. The last number in the key is taken out of it.
func olderEffect(e *workflowv1.StandingEffect) *workflowv1.OlderEffects {
	key := e.GetIdempotencyKey()
	if key == "" {
		return &workflowv1.OlderEffects{InputDigest: e.GetArgumentsDigest()}
	}
	digit := func(i int) bool { return key[i] >= '0' && key[i] <= '9' }
	end := len(key)
	for end > 0 && !digit(end-1) {
		end--
	}
	begin := end
	for begin > 0 && digit(begin-1) {
		begin--
	}
	n, err := strconv.ParseUint(key[begin:end], 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != key[begin:end] {
		return &workflowv1.OlderEffects{Prefix: key}
	}
	return &workflowv1.OlderEffects{Prefix: key[:begin], Suffix: key[end:], First: n, Count: 1}
}

// alike reports whether the keys of two differ in their numbers at most.
func alike(a, b *workflowv1.OlderEffects) bool {
	return a.GetPrefix() == b.GetPrefix() && a.GetSuffix() == b.GetSuffix() && (a.GetCount() > 0) == (b.GetCount() > 0) &&
		bytes.Equal(a.GetInputDigest(), b.GetInputDigest())
}

func addOlder(rec *workflowv1.StepRecord, e *workflowv1.StandingEffect) {
	o := olderEffect(e)
	for _, r := range rec.GetOlderEffects() {
		if o.GetCount() > 0 && alike(r, o) && r.GetFirst()+r.GetCount() == o.GetFirst() {
			r.Count++
			return
		}
	}
	rec.OlderEffects = append(rec.OlderEffects, o)
}

// olderIndex is where an effect is among those of which only the key is kept; -1: it is not.
func olderIndex(rec *workflowv1.StepRecord, e *workflowv1.StandingEffect) int {
	if len(rec.GetOlderEffects()) == 0 {
		return -1
	}
	o := olderEffect(e)
	return slices.IndexFunc(rec.GetOlderEffects(), func(r *workflowv1.OlderEffects) bool {
		return alike(r, o) && (o.GetCount() == 0 || o.GetFirst() >= r.GetFirst() && o.GetFirst()-r.GetFirst() < r.GetCount())
	})
}

func dropOlder(rec *workflowv1.StepRecord, e *workflowv1.StandingEffect) {
	i := olderIndex(rec, e)
	if i < 0 {
		return
	}
	r, n := rec.GetOlderEffects()[i], olderEffect(e).GetFirst()
	var left []*workflowv1.OlderEffects
	if r.GetCount() > 0 {
		for _, part := range [][2]uint64{{r.GetFirst(), n - r.GetFirst()}, {n + 1, r.GetFirst() + r.GetCount() - n - 1}} {
			if part[1] > 0 {
				left = append(left, &workflowv1.OlderEffects{Prefix: r.GetPrefix(), Suffix: r.GetSuffix(), First: part[0], Count: part[1]})
			}
		}
	}
	rec.OlderEffects = slices.Replace(rec.GetOlderEffects(), i, i+1, left...)
}

// takeOlder takes the newest of them off; nil: there is none.
func takeOlder(rec *workflowv1.StepRecord) *workflowv1.StandingEffect {
	n := len(rec.GetOlderEffects())
	if n == 0 {
		return nil
	}
	r := rec.GetOlderEffects()[n-1]
	e := &workflowv1.StandingEffect{IdempotencyKey: r.GetPrefix(), ArgumentsDigest: r.GetInputDigest()}
	if r.GetCount() > 0 {
		e.IdempotencyKey += strconv.FormatUint(r.GetFirst()+r.GetCount()-1, 10) + r.GetSuffix()
	}
	dropOlder(rec, e)
	return e
}
