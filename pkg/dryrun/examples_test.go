package dryrun_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/dryrun"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// Every example can be played as it stands, with nothing given: it ends, or names what it waits for.
func TestExamplesCanBePlayed(t *testing.T) {
	played := 0
	err := filepath.WalkDir("../../examples", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(src, []byte("api_version: signalbox/v1")) {
			return err
		}
		t.Run(path, func(t *testing.T) {
			def, findings := workflow.Check(path, src, nil, nil)
			if def == nil {
				t.Skip("it needs its catalogue: ", findings.Errors())
			}
			played++
			r := play(t, def, dryrun.Options{})
			if r.Run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED && len(r.Waits) == 0 {
				t.Errorf("it is %v and waits for nothing", r.Run.GetStatus())
			}
			t.Logf("%s %s (%v), %d events, waits %+v, %s", r.Run.GetStatus(), r.Run.GetOutcome(), r.Run.GetProblem(), len(r.Events), r.Waits, sources(r))
		})
		return nil
	})
	if err != nil || played == 0 {
		t.Errorf("%d examples were played, %v", played, err)
	}
}
