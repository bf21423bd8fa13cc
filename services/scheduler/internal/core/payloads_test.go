package core

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Every payload of every event is known, or a large value in it would be written to the history as it is.
func TestPayloadsKnowsEveryPlace(t *testing.T) {
	facts := (&workflowv1.HistoryEvent{}).ProtoReflect().Descriptor().Oneofs().ByName("fact").Fields()
	for i := range facts.Len() {
		ev := &workflowv1.HistoryEvent{}
		m := ev.ProtoReflect()
		m.Set(facts.Get(i), m.NewField(facts.Get(i)))
		want := fillPayloads(m.Mutable(facts.Get(i)).Message(), 3)
		got := payloads(ev, nil)
		if len(got) != want {
			t.Errorf("%s has %d payloads, payloads knows %d", facts.Get(i).Name(), want, len(got))
		}
		if len(got) > maxPayloads && ev.GetItemsRecorded() == nil {
			t.Errorf("%s has %d payloads, more than maxPayloads", facts.Get(i).Name(), len(got))
		}
		if valueBytes(ev) != want {
			t.Errorf("%s counts %d bytes, want %d", facts.Get(i).Name(), valueBytes(ev), want)
		}
	}
}

// fillPayloads puts a value into every payload of a message, and tells how many there are.
func fillPayloads(m protoreflect.Message, depth int) int {
	n := 0
	for i := range m.Descriptor().Fields().Len() {
		fd := m.Descriptor().Fields().Get(i)
		if fd.Message() == nil || fd.IsMap() || depth == 0 {
			continue
		}
		if fd.Message().FullName() == "signalbox.workflow.v1.Payload" {
			value := protoreflect.ValueOfMessage((&workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: []byte("1")}}).ProtoReflect())
			if fd.IsList() {
				list := m.Mutable(fd).List()
				for range 5 {
					list.Append(value)
					n++
				}
				continue
			}
			m.Set(fd, value)
			n++
			continue
		}
		if !fd.IsList() {
			sub := m.NewField(fd)
			if inner := fillPayloads(sub.Message(), depth-1); inner > 0 {
				m.Set(fd, sub)
				n += inner
			}
		}
	}
	return n
}
