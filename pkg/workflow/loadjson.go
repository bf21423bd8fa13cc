package workflow

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parseJSON reads valid JSON into YAML nodes. YAML would read most of it, but not tab indentation and not every escape.
func parseJSON(src []byte) *yaml.Node {
	dec := json.NewDecoder(bytes.NewReader(src))
	dec.UseNumber()
	r := &jsonReader{src: src, dec: dec, line: 1, column: 1}
	return r.value()
}

type jsonReader struct {
	src          []byte
	dec          *json.Decoder
	at           int
	line, column int
}

// value reads the next value; nil at the end of an array or object.
func (r *jsonReader) value() *yaml.Node {
	r.skip()
	node := &yaml.Node{Line: r.line, Column: r.column}
	token, err := r.dec.Token()
	if err != nil {
		return nil
	}
	r.advance(int(r.dec.InputOffset()))
	switch t := token.(type) {
	case json.Delim:
		switch t {
		case '{':
			node.Kind, node.Tag = yaml.MappingNode, "!!map"
		case '[':
			node.Kind, node.Tag = yaml.SequenceNode, "!!seq"
		default:
			return nil
		}
		for child := r.value(); child != nil; child = r.value() {
			node.Content = append(node.Content, child)
		}
		return node
	case string:
		node.Tag, node.Value, node.Style = "!!str", t, yaml.DoubleQuotedStyle
	case json.Number:
		node.Tag, node.Value = "!!int", t.String()
		if strings.ContainsAny(node.Value, ".eE") {
			node.Tag = "!!float"
		}
	case bool:
		node.Tag, node.Value = "!!bool", "false"
		if t {
			node.Value = "true"
		}
	case nil:
		node.Tag, node.Value = "!!null", "null"
	}
	node.Kind = yaml.ScalarNode
	return node
}

// skip moves over what stands between tokens.
func (r *jsonReader) skip() {
	end := r.at
	for end < len(r.src) && strings.IndexByte(" \t\r\n,:", r.src[end]) >= 0 {
		end++
	}
	r.advance(end)
}

// advance moves to an offset, counting lines and characters.
func (r *jsonReader) advance(to int) {
	part := r.src[r.at:to]
	if n := bytes.Count(part, []byte{'\n'}); n > 0 {
		r.line += n
		r.column = 1
		part = part[bytes.LastIndexByte(part, '\n')+1:]
	}
	r.column += utf8.RuneCount(part)
	r.at = to
}
