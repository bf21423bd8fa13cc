package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// valueFlags take a JSON value from the command line, a file, or single fields.
type valueFlags struct {
	name   string // of the main flag: "input", "value", "arguments", "output"
	text   string
	file   string
	fields []string
}

// bind adds the flags. what says what the value is for.
func (v *valueFlags) bind(flags *pflag.FlagSet, name, what string) {
	v.name = name
	flags.StringVar(&v.text, name, "", what+", as `JSON`")
	flags.StringVar(&v.file, name+"-file", "", what+", from a `file` (- is standard input)")
	flags.StringArrayVarP(&v.fields, "field", "f", nil, "one field of it: `key=text`, or key:=JSON for a number, list, object …; may be repeated")
}

// read returns the value as raw JSON, nil when none was given. Fields are set over those of the value.
func (v *valueFlags) read(cmd *cobra.Command, stdin io.Reader) ([]byte, error) {
	if v.text != "" && v.file != "" {
		return nil, misuse(cmd, "--%s and --%s-file are both given; keep one", v.name, v.name)
	}
	raw, origin := []byte(v.text), "--"+v.name
	if v.file != "" {
		var err error
		if raw, err = readFile(v.file, stdin); err != nil {
			return nil, errs.Invalid(v.name+"-file", "%v", err)
		}
		origin = v.file
	}
	if len(raw) > 0 {
		if err := checkJSON(raw); err != nil {
			return nil, errs.Invalid(v.name, "%s is not JSON: %v", origin, err)
		}
	}
	if len(v.fields) == 0 {
		return raw, nil
	}
	return v.withFields(raw)
}

func (v *valueFlags) withFields(raw []byte) ([]byte, error) {
	object := map[string]json.RawMessage{}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &object); err != nil || object == nil {
			return nil, errs.Invalid(v.name, "fields can only be set in an object; leave --field out, or give an object")
		}
	}
	for _, field := range v.fields {
		key, value, err := parseField(field)
		if err != nil {
			return nil, err
		}
		object[key] = value
	}
	return json.Marshal(object)
}

// parseField reads key=text or key:=JSON.
func parseField(field string) (string, json.RawMessage, error) {
	key, value, ok := strings.Cut(field, "=")
	if !ok || key == "" || key == ":" {
		return "", nil, errs.Invalid("field", "%q is not a field; give key=text, or key:=JSON", field)
	}
	if name, typed := strings.CutSuffix(key, ":"); typed {
		if err := checkJSON([]byte(value)); err != nil {
			return "", nil, errs.Invalid("field", "the value of %q is not JSON: %v; for text write %s=%s", field, err, name, value)
		}
		return name, json.RawMessage(value), nil
	}
	raw, err := json.Marshal(value)
	return key, raw, err
}

// checkJSON tells where raw stops being JSON.
func checkJSON(raw []byte) error {
	var value any
	err := json.Unmarshal(raw, &value)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		line, column := 1, 1
		for _, b := range raw[:max(0, min(int(syntax.Offset)-1, len(raw)))] {
			column++
			if b == '\n' {
				line, column = line+1, 1
			}
		}
		return fmt.Errorf("line %d, column %d: %w", line, column, err)
	}
	return err
}

// readFile reads a file, or standard input for "-".
func readFile(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(name)
}
