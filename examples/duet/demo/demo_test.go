package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/duet/workflow"
	"github.com/signalbox-dev/signalbox/examples/stage/stagetest"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

func TestMain(m *testing.M) { stagetest.Main(m) }

// TestTheDuetSurvivesAKill plays the demonstration, small: its own check tells whether anything was lost or repeated.
func TestTheDuetSurvivesAKill(t *testing.T) {
	stagetest.Play(t, run, []string{"--topics", "2", "--kills", "1"},
		"4 of 4 succeeded", "11 in the log; 1 of them", "10; 1 of them were there before", "11 of 11;", "4 of 4 histories")
}

// played is a demonstration of one early topic that went well, as the check finds it.
func played() (*demo, *findings) {
	d := &demo{topics: []*topic{{name: "tides", researcher: "r", writer: "w", early: true}}, outside: &subscriber{seen: map[identity]int{}}}
	f := &findings{taken: map[uint64][]string{}}
	for i, e := range []struct{ kind, by, taker string }{
		{workflow.BriefReady, "", "w"},
		{workflow.DraftReady, "w", "r"},
		{workflow.BriefReady, "r", ""},
		{workflow.ReviewChanges, "r", "w"},
		{workflow.DraftReady, "w", "r"},
		{workflow.ReviewAccepted, "r", "w"},
	} {
		at := uint64(i + 1)
		f.log = append(f.log, &statev1.PublishedEvent{
			Position: at, RunId: e.by, Event: &workflowv1.EmittedEvent{Id: fmt.Sprint(at), Type: e.kind, Source: "here"},
		})
		if e.taker != "" {
			f.taken[at] = []string{e.taker}
		}
		d.outside.seen[identity{"here", fmt.Sprint(at)}] = 1
	}
	return d, f
}

// TestTheCheckFindsWhatIsLostOrRepeated: a check that finds nothing shows nothing.
func TestTheCheckFindsWhatIsLostOrRepeated(t *testing.T) {
	for says, spoil := range map[string]func(*demo, *findings){
		"":                                  func(*demo, *findings) {},
		"is in the log again":               func(_ *demo, f *findings) { f.log = append(f.log, f.log[0]) },
		"the log holds 5":                   func(_ *demo, f *findings) { f.log = f.log[:5] },
		"was taken 2 times":                 func(_ *demo, f *findings) { f.taken[2] = append(f.taken[2], "r") },
		"was taken 0 times":                 func(_ *demo, f *findings) { delete(f.taken, 6) },
		"at 3, of \"r\", was taken 1 times": func(_ *demo, f *findings) { f.taken[3] = []string{"w"} },
		"is not in the log before its run": func(_ *demo, f *findings) {
			f.log[1].Position, f.log[2].Position = 3, 2
			f.log[1], f.log[2] = f.log[2], f.log[1]
		},
		"has not seen review.changes": func(d *demo, _ *findings) { delete(d.outside.seen, identity{"here", "4"}) },
		"which is not in the log":     func(d *demo, _ *findings) { d.outside.seen[identity{"there", "4"}]++ },
		"told of a gap":               func(d *demo, _ *findings) { d.outside.take(&statev1.WatchEventsResponse{Gap: true}, new(uint64)) },
		"has not lost its connection": func(d *demo, _ *findings) { d.kills = 1 },
	} {
		d, f := played()
		spoil(d, f)
		d.checkLog(f)
		d.checkOutside(f)
		if got := strings.Join(f.wrong, "\n"); says == "" && got != "" || !strings.Contains(got, says) {
			t.Errorf("want %q among:\n%s", says, got)
		}
	}
}

func TestWrongCommandLinesAreRefused(t *testing.T) {
	for args, says := range map[string]string{"extra": "extra", "--topics 1": "from 2", "--kills 11": "from 0 to 10"} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want an error that says %q", args, err, says)
		}
	}
	if o, err := parse(nil); err != nil || o.topics != 6 || o.kills != 2 {
		t.Errorf("%+v, %v", o, err)
	}
}
