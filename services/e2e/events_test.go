package e2e_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// TestEvents lets runs hear of each other by events alone: said before they listen, while they listen, and to start them.
func TestEvents(t *testing.T) {
	inEachTopology(t, func(t *testing.T, topology suite.Topology) {
		w := startWorld(t, topology, "")
		for _, name := range []string{"speaker.yaml", "listener.yaml", "echo.yaml"} {
			w.apply(t, testdata(t, name))
		}
		for _, about := range []string{"early", "late", "other"} {
			w.mustStart(t, "listener", about, map[string]any{"about": about})
		}
		say(t, w, "early", "hello")
		signal(t, w, "late", "listen")
		awaitStatus(t, w, "late", workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_EVENT)
		w.KillAll()
		if err := w.StartAll(within(t)); err != nil {
			t.Fatal(err)
		}
		say(t, w, "late", "goodbye")
		signal(t, w, "early", "listen")
		for run, word := range map[string]string{"early": "hello", "late": "goodbye"} {
			if got := string(w.mustSucceed(t, run).GetResult().GetInline()); got != fmt.Sprintf(`{"word":%q}`, word) {
				t.Errorf("run %s heard %s, want %s", run, got, word)
			}
		}
		if resp, err := w.control.WaitRun(within(t), &schedulerv1.WaitRunRequest{RunId: "other", Timeout: durationpb.New(time.Millisecond)}); err != nil || resp.GetEnded() {
			t.Errorf("a run that was not spoken to has ended: %v, %v", resp, err)
		}
		w.replaysAlike(within(t), t, "early", "late")
		echoes(t, w)
	})
}

func say(t *testing.T, w *world, about, word string) {
	t.Helper()
	w.mustStart(t, "speaker", "say-"+word, map[string]any{"about": about, "word": word})
	w.mustSucceed(t, "say-"+word)
}

// echoes checks that each event starts one run, whether a run or somebody outside says it, however often it is said or everything is killed.
func echoes(t *testing.T, w *world) {
	ctx := within(t)
	conn, err := w.Conn("state")
	if err != nil {
		t.Fatal(err)
	}
	events := statev1.NewEventServiceClient(conn)
	publish := func(id, data string) {
		t.Helper()
		req := &statev1.PublishEventRequest{Event: &workflowv1.EmittedEvent{
			Id: id, Type: "word.said", Source: "/outside", Data: &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: []byte(data)}},
		}}
		if _, err := events.PublishEvent(ctx, req); err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for round := range 3 {
		inside, outside := fmt.Sprint("inside-", round), fmt.Sprint("outside-", round)
		want = append(want, inside, outside)
		say(t, w, "echo", inside)
		publish("bad", `{"about": "echo", "word": ""}`) // starts nothing, and holds up nothing
		for range 2 {
			publish(outside, fmt.Sprintf(`{"about": "echo", "word": %q}`, outside))
		}
		w.KillAll()
		if err := w.StartAll(ctx); err != nil {
			t.Fatal(err)
		}
	}
	var heard []string
	eventually(ctx, t, "all echoes", func() (bool, error) {
		resp, err := w.runs.ListRuns(ctx, &statev1.ListRunsRequest{Filter: `workflow = "echo" AND status = ENDED`})
		if away(err) {
			return false, nil
		}
		heard = nil
		for _, run := range resp.GetRuns() {
			got, err := w.wait(ctx, run.GetId())
			if err != nil {
				return false, err
			}
			heard = append(heard, string(got.GetResult().GetInline()))
		}
		return len(heard) >= len(want), err
	})
	slices.Sort(heard)
	slices.Sort(want)
	for i := range want {
		want[i] = fmt.Sprintf(`{"word":%q}`, want[i])
	}
	if !slices.Equal(heard, want) {
		t.Errorf("echoes were %v, want %v", heard, want)
	}
}
