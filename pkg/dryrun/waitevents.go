package dryrun

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// waitKey names a wait of a step.
func waitKey(a *workflowv1.ActiveStep) string {
	return fmt.Sprintf("%s@%d", a.GetPath(), a.GetEventWait().GetSequence())
}

// offers are what was given to a wait so far.
type offers struct {
	// own are positions of events that the run itself emitted, samples the filters up to which one was made.
	own     map[uint64]bool
	samples int
	// silent tells that the wait is to run into its time.
	silent bool
}

// bringEvents gives the next event to a step that waits for one, and reports whether there was any: first those that the run itself emitted,
// and only when none of them helps anybody, one that is made for a filter, in their order.
func (p *player) bringEvents() bool {
	for _, bring := range []func(*workflowv1.ActiveStep, *workflow.Step, *offers) bool{p.bringOwn, p.bringSample} {
		for _, a := range p.run().GetActive() {
			s := engine.Work(p.def, a)
			if a.GetEventWait() == nil || s == nil || s.WaitEvent == nil {
				continue
			}
			o := p.offersTo(a, s)
			if !o.silent && bring(a, s, o) {
				return true
			}
			p.stuck[waitKey(a)] = !o.silent
		}
	}
	return false
}

func (p *player) offersTo(a *workflowv1.ActiveStep, s *workflow.Step) *offers {
	key := waitKey(a)
	if p.offered[key] == nil {
		p.offered[key] = &offers{own: map[uint64]bool{}, silent: p.fails(s.ID, false, errorsv1.ErrorType_ERROR_TYPE_TIMEOUT) != nil}
	}
	return p.offered[key]
}

// bringOwn gives a wait an event that the run itself emitted.
func (p *player) bringOwn(a *workflowv1.ActiveStep, s *workflow.Step, o *offers) bool {
	w := a.GetEventWait()
	for _, l := range p.log {
		early := l.sequence < w.GetSequence() && !w.GetFromRunStart()
		fits := slices.ContainsFunc(w.GetFilters(), func(f *workflowv1.EventSubscription) bool { return engine.Matches(f, l.event) })
		if l.sequence == 0 || early || !fits || o.own[l.position] {
			continue
		}
		o.own[l.position] = true
		p.sources[s.ID] = SourceEmitted
		p.queue = append(p.queue, engine.EventArrived{StepPath: a.GetPath(), Position: l.position, Event: proto.CloneOf(l.event), PublishTime: p.now})
		return true
	}
	return false
}

// bringSample gives the next filter of a wait an event that fits it.
func (p *player) bringSample(a *workflowv1.ActiveStep, s *workflow.Step, o *offers) bool {
	w := a.GetEventWait()
	for o.samples < len(w.GetFilters()) {
		n := o.samples
		o.samples++
		if n < len(w.GetMatched()) && w.GetMatched()[n] != 0 {
			continue
		}
		ev, source := p.eventFor(a, s, n)
		p.sources[s.ID] = source
		if name, signal := strings.CutPrefix(ev.GetType(), workflow.SignalPrefix); signal {
			p.queue = append(p.queue, engine.Signal{Name: name, Value: ev.GetData().GetInline(), SentBy: player0})
			return true
		}
		p.log = append(p.log, logged{position: uint64(len(p.log) + 1), event: ev})
		p.queue = append(p.queue, engine.EventArrived{StepPath: a.GetPath(), Position: uint64(len(p.log)), Event: ev, PublishTime: p.now})
		return true
	}
	return false
}

// eventFor is an event that fits a filter, as far as that is known without its condition: what somebody gave, with the fields that the wait
// correlates by.
func (p *player) eventFor(a *workflowv1.ActiveStep, s *workflow.Step, n int) (*workflowv1.EmittedEvent, string) {
	f := a.GetEventWait().GetFilters()[n]
	fields := map[string]any{"subject": "", "data": map[string]any{}}
	source := SourceSample
	if v, from, ok := p.known(a.GetPath(), s); ok {
		source = from
		given(fields, v, n)
	} else if schema := p.dataSchema(f.GetType()); schema != nil {
		v, source = sampleOf(schema)
		fields["data"], _ = decoded(v)
	} else if s.Proto.GetOutput() != nil { // the author says what the event holds
		if v, from := sampleOf(s.Output); from == SourceSample {
			given(fields, v, n)
		}
	}
	for path, value := range f.GetCorrelate() {
		if v, err := decoded(value); err == nil {
			put(fields, strings.Split(path, "."), v)
		}
	}
	data, err := json.Marshal(fields["data"])
	if err != nil {
		data = json.RawMessage("{}")
	}
	ev := &workflowv1.EmittedEvent{
		Id: fmt.Sprintf("%s-%d", player0, len(p.log)+1), Type: f.GetType(), Source: f.GetSource(),
		Data: &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: data}},
	}
	if id, ok := fields["id"].(string); ok && id != "" {
		ev.Id = id
	}
	if from, ok := fields["source"].(string); ok && ev.Source == "" {
		ev.Source = from
	}
	if ev.Source == "" {
		ev.Source = player0
	}
	ev.Subject, _ = fields["subject"].(string)
	return ev, source
}

// given takes over an event that somebody gave: the whole of it, only its data, or for several filters a list of either.
func given(fields map[string]any, raw json.RawMessage, n int) {
	v, err := decoded(raw)
	if err != nil {
		return
	}
	if list, ok := v.([]any); ok {
		if n >= len(list) {
			return
		}
		v = list[n]
	}
	object, ok := v.(map[string]any)
	if _, whole := object["data"]; !ok || !whole {
		fields["data"] = v
		return
	}
	for _, key := range []string{"id", "source", "subject", "data"} {
		if value, there := object[key]; there {
			fields[key] = value
		}
	}
}

// dataSchema is what the definition says about the data of a signal or of a type of events; nil: nothing.
func (p *player) dataSchema(kind string) *workflow.Schema {
	if name, signal := strings.CutPrefix(kind, workflow.SignalPrefix); signal {
		return p.def.Signals[name]
	}
	declared := p.def.Proto.GetResources().GetEvents()[kind].GetData().GetJsonSchema()
	if declared == nil {
		return nil
	}
	raw, err := json.Marshal(declared.AsMap())
	if err != nil {
		return nil
	}
	schema, err := workflow.NewSchema(raw)
	if err != nil {
		return nil // the compiler has taken it
	}
	return schema
}

// put sets a field of nested objects.
func put(object map[string]any, path []string, v any) {
	if len(path) == 1 {
		object[path[0]] = v
		return
	}
	inner, ok := object[path[0]].(map[string]any)
	if !ok {
		inner = map[string]any{}
		object[path[0]] = inner
	}
	put(inner, path[1:], v)
}
