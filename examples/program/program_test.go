package program_test

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/program"
)

func TestParse(t *testing.T) {
	var said bytes.Buffer
	parse := func(args ...string) (int, error) {
		set := flag.NewFlagSet("press", flag.ContinueOnError)
		set.SetOutput(&said)
		n := set.Int("copies", 1, "how many")
		err := program.Parse(set, "press: it prints\n\nFlags:\n", args)
		return *n, err
	}
	if n, err := parse("--copies", "3"); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := parse("extra"); err == nil || err.Error() != `"extra" is not a flag; see press --help` {
		t.Errorf("a word too many: %v", err)
	}
	if _, err := parse("--help"); !errors.Is(err, flag.ErrHelp) || !strings.HasPrefix(said.String(), "press: it prints\n\nFlags:\n  -copies") {
		t.Errorf("--help: %v, and says:\n%s", err, said.String())
	}
}
