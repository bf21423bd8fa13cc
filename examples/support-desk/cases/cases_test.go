package cases_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/support-desk/cases"
)

const two = `{"id":"a","user_id":"u","request":"help","calls":[{"tool":"think","arguments":{"thought":"x"},"result":"SECRET"}],"answers":["SECRET"],"final":{"orders":{"#W1":{"status":"SECRET"}}}}
{"id":"b","user_id":"v","request":"hi","calls":[],"answers":[],"final":{}}
`

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAnAgentSeesOnlyToolsAndArguments(t *testing.T) {
	set, err := cases.Load(write(t, map[string]string{"tasks.jsonl": two, "disjoint.json": `["b"]`}))
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := set.WriteCalls(&file, "a", "b"); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(file.String(), "SECRET") {
		t.Errorf("the agent's file tells results: %s", file.String())
	}
	read, err := cases.ReadCalls(&file)
	if err != nil {
		t.Fatal(err)
	}
	if c := read["a"]; c.UserID != "u" || len(c.Calls) != 1 || c.Calls[0].Tool != "think" || string(c.Calls[0].Arguments) != `{"thought":"x"}` {
		t.Errorf("got %+v", c)
	}
	key, ok := set.Key("a")
	if !ok || string(key.Results[0]) != `"SECRET"` || key.Final.Len() != 1 {
		t.Errorf("the checker's key is %+v", key)
	}
	if len(set.Disjoint) != 1 {
		t.Errorf("disjoint: %v", set.Disjoint)
	}
}

func TestAFileWithResultsIsNotForAnAgent(t *testing.T) {
	if _, err := cases.ReadCalls(strings.NewReader(two)); err == nil {
		t.Error("a file with results was read as an agent's")
	}
}

func TestWrongFilesAreRefusedByPlace(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		says  string
	}{
		"absent":        {nil, "tasks.jsonl"},
		"not json":      {map[string]string{"tasks.jsonl": two + "{"}, "case 3"},
		"twice":         {map[string]string{"tasks.jsonl": two + two}, `"a"`},
		"unknown ids":   {map[string]string{"tasks.jsonl": two, "disjoint.json": `["z"]`}, `"z"`},
		"no list of id": {map[string]string{"tasks.jsonl": two, "disjoint.json": `{}`}, "disjoint.json"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := cases.Load(write(t, c.files)); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want an error that says %s", err, c.says)
			}
		})
	}
}

func TestTheRecordedCasesAreWhole(t *testing.T) {
	dir, ok := cases.TauRetail()
	if !ok {
		t.Skip("the τ-retail data is not on this machine")
	}
	set, err := cases.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Cases) != 578 || len(set.Disjoint) != 280 {
		t.Errorf("%d cases, %d disjoint", len(set.Cases), len(set.Disjoint))
	}
	if _, err := set.Finals(set.Disjoint...); err != nil {
		t.Error(err)
	}
}
