package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/signalbox-dev/signalbox/pkg/nearest"
)

// decoder puts a YAML file into a Config. It goes node by node instead of leaving that to the library, because it wants every problem
// with its line and the near match of an unknown key, and the origin of every value.
type decoder struct {
	file    string
	report  *report
	origins map[string]string // path -> "file:line"
}

func (d *decoder) decode(content []byte, c *Config) {
	reader := yaml.NewDecoder(bytes.NewReader(content))
	var document yaml.Node
	if err := reader.Decode(&document); errors.Is(err, io.EOF) {
		return // an empty file
	} else if err != nil {
		d.report.add("", d.file, "this is not YAML: %v", err)
		return
	}
	if err := reader.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		d.report.add("", d.file, "the file holds several YAML documents; keep one")
	}
	d.value(document.Content[0], reflect.ValueOf(c).Elem(), "")
}

func (d *decoder) at(node *yaml.Node) string { return fmt.Sprintf("%s:%d", d.file, node.Line) }

func (d *decoder) value(node *yaml.Node, target reflect.Value, path string) {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	d.origins[path] = d.at(node)
	if node.Tag == "!!null" {
		return // "key:" with nothing after it keeps the default
	}
	switch target.Kind() {
	case reflect.Pointer:
		if target.IsNil() {
			target.Set(reflect.New(target.Type().Elem()))
		}
		d.value(node, target.Elem(), path)
	case reflect.Struct:
		d.section(node, target, path)
	case reflect.Map:
		d.entries(node, target, path)
	default:
		if err := node.Decode(target.Addr().Interface()); err != nil {
			d.wrongType(node, target, path)
		}
	}
}

func (d *decoder) wrongType(node *yaml.Node, target reflect.Value, path string) {
	if node.Kind == yaml.ScalarNode {
		d.report.add(path, d.at(node), "%v", notA(target.Type(), node.Value))
		return
	}
	d.report.add(path, d.at(node), "this must be %s", typeName(target.Type()))
}

func (d *decoder) section(node *yaml.Node, target reflect.Value, path string) {
	fields := map[string]int{}
	var keys []string
	for i := range target.NumField() {
		key := target.Type().Field(i).Tag.Get("yaml")
		fields[key] = i
		keys = append(keys, key)
	}
	d.pairs(node, target, path, func(key *yaml.Node, value *yaml.Node, inside string) {
		field, ok := fields[key.Value]
		if !ok {
			hint := nearest.Hint(key.Value, keys)
			if hint == "" {
				hint = "; known here are " + list(keys)
			}
			d.report.add(inside, d.at(key), "unknown key %q%s", key.Value, hint)
			return
		}
		d.value(value, target.Field(field), inside)
	})
}

func (d *decoder) entries(node *yaml.Node, target reflect.Value, path string) {
	if target.IsNil() {
		target.Set(reflect.MakeMap(target.Type()))
	}
	d.pairs(node, target, path, func(key *yaml.Node, value *yaml.Node, inside string) {
		entry := reflect.New(target.Type().Elem()).Elem()
		d.value(value, entry, inside)
		target.SetMapIndex(reflect.ValueOf(key.Value), entry)
	})
}

// pairs visits the keys of a mapping once each.
func (d *decoder) pairs(node *yaml.Node, target reflect.Value, path string, visit func(key, value *yaml.Node, inside string)) {
	if node.Kind != yaml.MappingNode {
		d.wrongType(node, target, path)
		return
	}
	var seen []string
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		inside := key.Value
		if path != "" {
			inside = path + "." + key.Value
		}
		if slices.Contains(seen, key.Value) {
			d.report.add(inside, d.at(key), "this key is there twice; keep one")
			continue
		}
		seen = append(seen, key.Value)
		visit(key, node.Content[i+1], inside)
	}
}

func list(items []string) string {
	sorted := slices.Sorted(slices.Values(items))
	text := ""
	for i, item := range sorted {
		if i > 0 {
			text += ", "
		}
		text += item
	}
	return text
}
