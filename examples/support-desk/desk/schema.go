package desk

import "encoding/json"

// prop is one argument of a tool, or one field of its answer.
type prop struct {
	name     string
	schema   map[string]any
	optional bool
}

// object writes the JSON Schema of an object; props are required unless optional.
func object(props ...prop) json.RawMessage {
	fields := map[string]any{}
	required := []string{}
	for _, p := range props {
		fields[p.name] = p.schema
		if !p.optional {
			required = append(required, p.name)
		}
	}
	b, err := json.Marshal(map[string]any{"type": "object", "properties": fields, "required": required})
	if err != nil {
		panic(err) // a schema of literals always marshals
	}
	return b
}

// text is a string; about is left out where the name says it all.
func text(name, about string) prop { return typed(name, "string", about) }

// number is a JSON number.
func number(name, about string) prop { return typed(name, "number", about) }

func typed(name, kind, about string) prop {
	schema := map[string]any{"type": kind}
	if about != "" {
		schema["description"] = about
	}
	return prop{name: name, schema: schema}
}

// texts is a list of strings.
func texts(name, about string) prop {
	p := typed(name, "array", about)
	p.schema["items"] = map[string]any{"type": "string"}
	return p
}

// choice is a string out of a few.
func choice(name, about string, values ...string) prop {
	p := text(name, about)
	p.schema["enum"] = values
	return p
}

// list is an array of objects.
func list(name, about string, props ...prop) prop {
	p := typed(name, "array", about)
	p.schema["items"] = object(props...)
	return p
}

// with adds one more rule to the schema of a prop.
func (p prop) with(keyword string, value any) prop {
	p.schema[keyword] = value
	return p
}

// orNot makes a prop optional.
func (p prop) orNot() prop {
	p.optional = true
	return p
}
