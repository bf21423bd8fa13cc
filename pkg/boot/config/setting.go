package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// setting is one value that a flag or a variable of the environment can set: a field that is neither a section nor inside a map.
type setting struct {
	path  string // "listen.grpc"
	doc   string
	value reflect.Value
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[Secret]()
)

// settings lists the values of a configuration in the order of the file.
func settings(c *Config) []setting {
	var found []setting
	collect(reflect.ValueOf(c).Elem(), "", &found)
	return found
}

func collect(section reflect.Value, prefix string, found *[]setting) {
	for i := range section.NumField() {
		field := section.Type().Field(i)
		path := prefix + field.Tag.Get("yaml")
		switch field.Type.Kind() {
		case reflect.Struct:
			collect(section.Field(i), path+".", found)
		case reflect.Map:
			continue
		default:
			*found = append(*found, setting{path: path, doc: docOf(section.Type(), field), value: section.Field(i)})
		}
	}
}

const variablePrefix = "SIGNALBOX_"

func (s setting) variable() string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(s.path, ".", "_"))
}

// flag is "" for secrets: everybody on the machine can read a command line.
func (s setting) flag() string {
	if s.value.Type() == secretType {
		return ""
	}
	return strings.NewReplacer(".", "-", "_", "-").Replace(s.path)
}

// set takes the text of a flag or a variable.
func (s setting) set(text string) error {
	if s.value.Type() == durationType {
		d, err := time.ParseDuration(text)
		if err != nil {
			return notA(durationType, text)
		}
		s.value.SetInt(int64(d))
		return nil
	}
	switch s.value.Kind() {
	case reflect.String:
		s.value.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return notA(s.value.Type(), text)
		}
		s.value.SetBool(b)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return notA(s.value.Type(), text)
		}
		s.value.SetInt(int64(n))
	case reflect.Slice:
		s.value.Set(reflect.ValueOf(splitList(text)))
	default:
		return fmt.Errorf("a %s cannot be set by a flag or a variable", s.value.Type())
	}
	return nil
}

func splitList(text string) []string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// show returns the value as the reference and `config show` print it.
func show(value reflect.Value) string {
	if value.Kind() == reflect.Slice {
		items := make([]string, value.Len())
		for i := range items {
			items[i] = show(value.Index(i))
		}
		return strings.Join(items, ", ")
	}
	return fmt.Sprint(value.Interface())
}

// typeName says in plain words what a value must be.
func typeName(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration, such as 10s or 5m"
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem())
	}
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Slice:
		return "a list of texts"
	case reflect.Struct, reflect.Map:
		return "a mapping of keys to values"
	default:
		return "a value"
	}
}

func notA(t reflect.Type, text string) error { return fmt.Errorf("%q is not %s", text, typeName(t)) }
