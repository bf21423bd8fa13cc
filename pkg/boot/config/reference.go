package config

import (
	"reflect"
	"strings"
)

// Entry describes one key of the configuration, for its reference and for `config show`.
type Entry struct {
	// Path of the key; "<name>" stands for any key of a map: "servers.<name>.http.url".
	Path string
	// Section is true for a key that holds other keys.
	Section bool
	// Type says in plain words what the value is.
	Type string
	// Value of the configuration described; for Reference the default. Secrets are masked. Empty for sections and keys of maps.
	Value string
	// Origin of the value; only set by Loaded.Entries.
	Origin string
	// Variable of the environment and Flag that set it; empty where there is none.
	Variable, Flag string
	// Source is the Go field that holds it, "Listen.GRPC": the key of its comment.
	Source string
	// Doc is that comment.
	Doc string
}

// Reference describes every key, in the order of the sections, with its default.
func Reference() []Entry {
	defaults := Default()
	return describe(reflect.ValueOf(&defaults).Elem(), "", true)
}

// Entries describes the keys that hold one value each, with the value loaded and its origin. Tool servers are left out.
func (l *Loaded) Entries() []Entry {
	var entries []Entry
	for _, entry := range describe(reflect.ValueOf(&l.Config).Elem(), "", true) {
		if entry.Section || entry.Variable == "" {
			continue
		}
		entry.Origin = l.Origin(entry.Path)
		entries = append(entries, entry)
	}
	return entries
}

func describe(section reflect.Value, prefix string, settable bool) []Entry {
	var entries []Entry
	for i := range section.NumField() {
		field := section.Type().Field(i)
		value := section.Field(i)
		entry := Entry{
			Path: prefix + field.Tag.Get("yaml"), Type: typeName(field.Type),
			Source: section.Type().Name() + "." + field.Name, Doc: docOf(section.Type(), field),
		}
		switch inner := innerSection(field.Type); {
		case inner == nil && settable && field.Type.Kind() != reflect.Map:
			s := setting{path: entry.Path, value: value}
			entry.Value, entry.Variable, entry.Flag = show(value), s.variable(), s.flag()
			entries = append(entries, entry)
		case inner == nil:
			entries = append(entries, entry)
		case field.Type.Kind() == reflect.Struct:
			entry.Section = true
			entries = append(append(entries, entry), describe(value, entry.Path+".", settable)...)
		default: // a map of sections or an optional one: what it holds is set in the file only
			entry.Section = true
			path := entry.Path + "."
			if field.Type.Kind() == reflect.Map {
				path += "<name>."
			}
			entries = append(append(entries, entry), describe(reflect.New(inner).Elem(), path, false)...)
		}
	}
	return entries
}

// innerSection returns the section that a field is, points to or maps names to; nil for plain values.
func innerSection(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct {
		return t
	}
	return nil
}

func docOf(section reflect.Type, field reflect.StructField) string {
	return docs[section.Name()+"."+field.Name]
}

// summary is the first sentence of a comment.
func summary(doc string) string {
	if end := strings.Index(doc, ". "); end >= 0 {
		return doc[:end]
	}
	return strings.TrimSuffix(doc, ".")
}
