package render

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Document returns a message as a value for encoding/json. It is written as protojson does with the contract's field names and with
// defaults, save for bytes: the suite's payloads are raw JSON and stand as that JSON (null when empty), digests are hex, sources
// are text, and only what is none of these is base64.
func Document(message proto.Message) json.Marshaler { return document{message} }

type document struct{ message proto.Message }

func (d document) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	if err := writeMessage(&out, d.message.ProtoReflect()); err != nil {
		return nil, fmt.Errorf("write %s as JSON: %w", d.message.ProtoReflect().Descriptor().FullName(), err)
	}
	return out.Bytes(), nil
}

func writeMessage(out *bytes.Buffer, message protoreflect.Message) error {
	if message.Descriptor().ParentFile().Package() == "google.protobuf" {
		raw, err := protojson.Marshal(message.Interface())
		if err != nil {
			return err
		}
		// protojson varies its blanks on purpose.
		return json.Compact(out, raw)
	}
	out.WriteByte('{')
	first := true
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.HasPresence() && !message.Has(field) {
			continue
		}
		if !first {
			out.WriteByte(',')
		}
		first = false
		fmt.Fprintf(out, "%q:", field.TextName())
		if err := writeField(out, field, message.Get(field)); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	return nil
}

func writeField(out *bytes.Buffer, field protoreflect.FieldDescriptor, value protoreflect.Value) error {
	switch {
	case field.IsMap():
		return writeMap(out, field.MapValue(), value.Map())
	case field.IsList():
		out.WriteByte('[')
		for i := range value.List().Len() {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := writeValue(out, field, value.List().Get(i)); err != nil {
				return err
			}
		}
		out.WriteByte(']')
		return nil
	default:
		return writeValue(out, field, value)
	}
}

func writeMap(out *bytes.Buffer, field protoreflect.FieldDescriptor, entries protoreflect.Map) error {
	keys := make([]string, 0, entries.Len())
	values := map[string]protoreflect.Value{}
	entries.Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
		keys = append(keys, key.String())
		values[key.String()] = value
		return true
	})
	slices.Sort(keys)
	out.WriteByte('{')
	for i, key := range keys {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := writeJSON(out, key); err != nil {
			return err
		}
		out.WriteByte(':')
		if err := writeValue(out, field, values[key]); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	return nil
}

func writeValue(out *bytes.Buffer, field protoreflect.FieldDescriptor, value protoreflect.Value) error {
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return writeMessage(out, value.Message())
	case protoreflect.EnumKind:
		if known := field.Enum().Values().ByNumber(value.Enum()); known != nil {
			return writeJSON(out, string(known.Name()))
		}
		return writeJSON(out, value.Enum())
	case protoreflect.BytesKind:
		return writeBytes(out, string(field.Name()), value.Bytes())
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return writeJSON(out, value.String())
	default:
		return writeJSON(out, value.Interface())
	}
}

func writeBytes(out *bytes.Buffer, name string, value []byte) error {
	switch {
	case len(value) == 0:
		return writeJSON(out, nil)
	case strings.HasSuffix(name, "digest"):
		return writeJSON(out, hex.EncodeToString(value))
	case name == "source":
		return writeJSON(out, string(value))
	case json.Valid(value):
		return json.Compact(out, value)
	default:
		return writeJSON(out, base64.StdEncoding.EncodeToString(value))
	}
}

func writeJSON(out *bytes.Buffer, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	out.Write(raw)
	return nil
}
