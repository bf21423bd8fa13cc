package minds_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/support-desk/cases"
	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/minds"
	"github.com/signalbox-dev/signalbox/examples/support-desk/seed"
)

// TestAFileOfCallsGivesTheRecordedResults works recorded cases of the sample shop, and shows that the file holds no results.
func TestAFileOfCallsGivesTheRecordedResults(t *testing.T) {
	dir := t.TempDir()
	if err := seed.Write(dir, 7); err != nil {
		t.Fatal(err)
	}
	set, err := cases.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	ids := set.Disjoint[:10]
	var file bytes.Buffer
	if err := set.WriteCalls(&file, ids...); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(file.String(), `"result"`) {
		t.Fatal("the agent's file holds results")
	}
	all, err := cases.ReadCalls(&file)
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, &minds.Script{Cases: all})
	for _, id := range ids {
		c, _ := set.Case(id)
		var tools []string
		for _, call := range c.Calls {
			tools = append(tools, "desk/"+call.Tool)
		}
		d.offer("task-"+id, map[string]any{"case": id}, tools...)
		var out minds.Scripted
		if err := json.Unmarshal(wait(t, d.done), &out); err != nil {
			t.Fatal(err)
		}
		key, _ := set.Key(id)
		if out.Case != id || len(out.Results) != len(key.Results) {
			t.Fatalf("case %s: %d results, want %d", id, len(out.Results), len(key.Results))
		}
		for i := range key.Results {
			if why := check.Explain(key.Results[i], out.Results[i]); why != "" {
				t.Errorf("case %s, call %d: %s", id, i+1, why)
			}
		}
	}
}

func TestACaseThatIsNotInTheFileFailsTheTask(t *testing.T) {
	d := newDesk(t, &minds.Script{Cases: map[string]cases.Case{}})
	d.offer("task-1", map[string]any{"case": "nobody"})
	if why := wait(t, d.failed); !strings.Contains(why, "nobody") {
		t.Errorf("failed because %q", why)
	}
}
