package core

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// subscription is a step that waits for events of its namespace's log.
type subscription struct {
	run  RunKey
	path string
	// since is the event of the run's history after which events count; 0: the run's start.
	since uint64
	// filters are those for events of the log.
	filters []*workflowv1.EventSubscription
	// reading tells that what is in the log already is being read; what comes meanwhile waits in pending.
	reading bool
	pending []LogEvent
	// floor is the position after which events count, last that of the last event handed over.
	floor, last uint64
	gone        bool
}

// subscriptions finds the steps that may wait for an event: by namespace and type, and by the value of one field that they correlate by, so
// that an event that concerns one of ten thousand runs costs the others nothing.
type subscriptions struct {
	byRun  map[RunKey]map[string]*subscription
	byType map[typeKey]*bucket
	// n is how many there are.
	n int
}

type typeKey struct{ namespace, kind string }

// bucket are the filters of one type: those that name no field to find them by, and the others by field and value.
type bucket struct {
	plain   map[*subscription]struct{}
	byField map[string]map[string]map[*subscription]struct{}
}

func newSubscriptions() *subscriptions {
	return &subscriptions{byRun: map[RunKey]map[string]*subscription{}, byType: map[typeKey]*bucket{}}
}

// logFilters are the filters of a wait that are not matched yet and are for events of the log.
func logFilters(w *workflowv1.EventWait) []*workflowv1.EventSubscription {
	var out []*workflowv1.EventSubscription
	for i, f := range w.GetFilters() {
		taken := i < len(w.GetMatched()) && w.GetMatched()[i] != 0
		if !taken && !strings.HasPrefix(f.GetType(), workflow.SignalPrefix) {
			out = append(out, f)
		}
	}
	return out
}

func (x *subscriptions) add(sub *subscription) {
	x.n++
	if x.byRun[sub.run] == nil {
		x.byRun[sub.run] = map[string]*subscription{}
	}
	x.byRun[sub.run][sub.path] = sub
	for _, f := range sub.filters {
		b := x.byType[typeKey{sub.run.Namespace, f.GetType()}]
		if b == nil {
			b = &bucket{plain: map[*subscription]struct{}{}, byField: map[string]map[string]map[*subscription]struct{}{}}
			x.byType[typeKey{sub.run.Namespace, f.GetType()}] = b
		}
		b.add(f, sub)
	}
}

func (x *subscriptions) remove(sub *subscription) {
	sub.gone, sub.pending = true, nil
	x.n--
	delete(x.byRun[sub.run], sub.path)
	if len(x.byRun[sub.run]) == 0 {
		delete(x.byRun, sub.run)
	}
	for _, f := range sub.filters {
		at := typeKey{sub.run.Namespace, f.GetType()}
		if b := x.byType[at]; b != nil && b.remove(f, sub) {
			delete(x.byType, at)
		}
	}
}

func (b *bucket) add(f *workflowv1.EventSubscription, sub *subscription) {
	field, value := handle(f)
	if field == "" {
		b.plain[sub] = struct{}{}
		return
	}
	if b.byField[field] == nil {
		b.byField[field] = map[string]map[*subscription]struct{}{}
	}
	if b.byField[field][value] == nil {
		b.byField[field][value] = map[*subscription]struct{}{}
	}
	b.byField[field][value][sub] = struct{}{}
}

// remove takes a filter out, and reports whether the bucket is empty then.
func (b *bucket) remove(f *workflowv1.EventSubscription, sub *subscription) bool {
	field, value := handle(f)
	if field == "" {
		delete(b.plain, sub)
	} else if at := b.byField[field]; at != nil {
		delete(at[value], sub)
		if len(at[value]) == 0 {
			delete(at, value)
		}
		if len(at) == 0 {
			delete(b.byField, field)
		}
	}
	return len(b.plain) == 0 && len(b.byField) == 0
}

// handle is the field and the value by which a filter is found; empty: none.
func handle(f *workflowv1.EventSubscription) (field, value string) {
	for name, want := range f.GetCorrelate() {
		switch {
		case name != "id" && name != "subject" && name != "data" && !strings.HasPrefix(name, "data."):
		case field == "" || name < field:
			field, value = name, coarse(decode(want))
		}
	}
	return field, value
}

// concerned are the subscriptions that an event may be for.
func (x *subscriptions) concerned(ev LogEvent) []*subscription {
	b := x.byType[typeKey{ev.Namespace, ev.Event.GetType()}]
	if b == nil {
		return nil
	}
	var out []*subscription
	for sub := range b.plain {
		out = append(out, sub)
	}
	var data any
	read := false
	for field, byValue := range b.byField {
		var got any
		switch field {
		case "id":
			got = ev.Event.GetId()
		case "subject":
			got = ev.Event.GetSubject()
		default:
			if !read {
				data, read = decode(ev.Event.GetData().GetInline()), true
			}
			var there bool
			if got, there = descend(data, strings.TrimPrefix(strings.TrimPrefix(field, "data"), ".")); !there {
				continue
			}
		}
		for sub := range byValue[coarse(got)] {
			if !slices.Contains(out, sub) {
				out = append(out, sub)
			}
		}
	}
	slices.SortFunc(out, func(a, b *subscription) int { return cmp.Or(compareRuns(a.run, b.run), cmp.Compare(a.path, b.path)) })
	return out
}

// needsData reports whether the event's data is needed to tell whom it concerns.
func (x *subscriptions) needsData(ev LogEvent) bool {
	return x.byType[typeKey{ev.Namespace, ev.Event.GetType()}] != nil
}

func decode(v []byte) any {
	var out any
	d := json.NewDecoder(bytes.NewReader(v))
	d.UseNumber()
	if d.Decode(&out) != nil {
		return nil
	}
	return out
}

func descend(value any, path string) (any, bool) {
	if path == "" {
		return value, true
	}
	for part := range strings.SplitSeq(path, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = object[part]; !ok {
			return nil, false
		}
	}
	return value, true
}

// coarse is the same for values that are equal, and seldom for others.
func coarse(v any) string {
	switch v := v.(type) {
	case string:
		return "s" + v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return "n" + strconv.FormatFloat(f+0, 'g', -1, 64) // + 0: so that -0 is 0
		}
		return "n"
	case nil:
		return "null"
	}
	return "x"
}
