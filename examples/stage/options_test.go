package stage

import (
	"flag"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/pkg/suite"
)

func parse(args string) (copies int, o Options, err error) {
	set := flag.NewFlagSet("demo", flag.ContinueOnError)
	set.IntVar(&copies, "copies", 1, "how many")
	o, err = Parse(set, "demo: a test\n", strings.Fields(args))
	return copies, o, err
}

func TestEveryDemonstrationHasTheSameFlagsBesideItsOwn(t *testing.T) {
	if copies, o, err := parse(""); err != nil || copies != 1 || o != (Options{Topology: suite.OneProcess}) {
		t.Errorf("no flags: %d, %+v, %v", copies, o, err)
	}
	copies, o, err := parse("--copies 2 --topology process-per-service --bin there --keep")
	if want := (Options{Topology: suite.ProcessPerService, Bin: "there", Keep: true}); err != nil || copies != 2 || o != want {
		t.Errorf("%d, %+v, %v", copies, o, err)
	}
}

func TestWrongCommandLinesAreRefused(t *testing.T) {
	for args, says := range map[string]string{"extra": "extra", "--topology ring": "process-per-service"} {
		if _, _, err := parse(args); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want an error that says %q", args, err, says)
		}
	}
}
