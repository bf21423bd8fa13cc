package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
)

// Formats of a command's output, as -o takes them.
var Formats = []string{"table", "json"}

// Output is where one command writes. Results go to standard output; progress, notes and errors to standard error, so that a pipe
// gets results only.
type Output struct {
	out, err      io.Writer
	json          bool
	outTTY, color bool
	errTTY        bool
}

// NewOutput returns an output of a format: "table" ("" means this too) or "json". Colour is used only where the writer is a terminal,
// NO_COLOR is not set and TERM is not dumb.
func NewOutput(out, err io.Writer, format string) (*Output, error) {
	o := &Output{out: out, err: err, outTTY: isTerminal(out), errTTY: isTerminal(err)}
	switch format {
	case "", "table":
	case "json":
		o.json = true
	default:
		return nil, errs.Invalid("output", "%q is none of table, json%s", format, nearest.Hint(format, Formats))
	}
	o.color = o.outTTY && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return o, nil
}

// JSON reports whether the output is for programs.
func (o *Output) JSON() bool { return o.json }

// Print writes a result: value as JSON, or the table. value is a proto message, written with the contract's field names, or anything
// that encoding/json takes. table is only called when it is printed.
func (o *Output) Print(value any, table func() Table) error {
	if !o.json {
		return o.table(table())
	}
	text, err := toJSON(value)
	if err != nil {
		return err
	}
	_, err = o.out.Write(append(text, '\n'))
	return err
}

// Line writes one value of a stream of results: as one line of JSON, or as cells beside each other.
func (o *Output) Line(value any, cells func() []string) error {
	if !o.json {
		line := cells()
		for i := range line {
			line[i] = o.cell(line[i])
		}
		_, err := fmt.Fprintln(o.out, strings.Join(line, columnGap))
		return err
	}
	pretty, err := toJSON(value)
	if err != nil {
		return err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, pretty); err != nil {
		return err
	}
	line.WriteByte('\n')
	_, err = o.out.Write(line.Bytes())
	return err
}

// Note tells people something beside the result, on standard error; programs are not told.
func (o *Output) Note(format string, args ...any) {
	if !o.json {
		fmt.Fprintln(o.err, printable(fmt.Sprintf(format, args...)))
	}
}

// toJSON is the same for the same value: protojson alone varies its blanks on purpose.
func toJSON(value any) ([]byte, error) {
	message, ok := value.(proto.Message)
	if !ok {
		return json.MarshalIndent(value, "", "  ")
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(message)
	if err != nil {
		return nil, err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, text, "", "  "); err != nil {
		return nil, err
	}
	return pretty.Bytes(), nil
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && (isatty.IsTerminal(file.Fd()) || isatty.IsCygwinTerminal(file.Fd()))
}
