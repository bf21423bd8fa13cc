package workflow

import (
	"strings"
	"testing"
)

const (
	askingFile = `api_version: signalbox/v1
metadata: {name: asking, version: 1.0.0}
steps:
  - {id: ask, emit: {type: com.example.asked.v1}}
  - {id: wait, timeout: 1h, wait_event: {any_of: [{type: com.example.answered.v1}]}}
  - {id: tell, timeout: 1h, workflow: {name: telling}}
`
	tellingFile = `api_version: signalbox/v1
metadata: {name: telling, version: %s}
triggers: [{event: {type: com.example.asked.v1}}]
steps: [{id: answer, emit: {type: com.example.answered.v1}}]
`
)

func telling(version string) Source {
	return Source{File: "telling-" + version, Text: []byte(strings.Replace(tellingFile, "%s", version, 1))}
}

// TestFilesAreCheckedTogether: each finds the others, in whatever order they are given; the highest version is taken.
func TestFilesAreCheckedTogether(t *testing.T) {
	asking := Source{File: "asking", Text: []byte(askingFile)}
	for _, sources := range [][]Source{{asking, telling("1.9.0"), telling("1.10.0")}, {telling("1.10.0"), telling("1.9.0"), asking}} {
		if fs := CheckAll(sources, nil, nil); len(fs) > 0 {
			t.Error(fs)
		}
		all := &together{}
		for _, s := range sources {
			doc, _ := Load(s.File, s.Text)
			all.entries = append(all.entries, &entry{doc: doc})
		}
		if def, ok := all.Workflow("default", "telling", ""); !ok || def.Proto.GetMetadata().GetVersion() != "1.10.0" {
			t.Errorf("the highest version is not taken: %v", def)
		}
		if _, ok := all.Workflow("other", "telling", ""); ok {
			t.Error("a workflow of another namespace is found")
		}
	}
	alone := CheckAll([]Source{asking}, nil, nil)
	if alone.HasErrors() || indexFinding(alone, "5:58", "L14", "answered") < 0 || indexFinding(alone, "6:46", RuleWorkflow, "not checked") < 0 {
		t.Errorf("alone, what is not known is a warning: %s", alone)
	}
	refused := CheckAll([]Source{asking}, nil, children{})
	if indexFinding(refused, "6:46", "L3", "there is no workflow telling") < 0 {
		t.Errorf("beside a suite that does not have it: %s", refused)
	}
}

// TestFilesThatRunEachOther: no workflow can be part of itself, and one that is only linted badly is still known to others.
func TestFilesThatRunEachOther(t *testing.T) {
	one := Source{File: "one", Text: []byte("api_version: signalbox/v1\nmetadata: {name: one, version: 1.0.0}\nsteps: [{id: a, timeout: 1h, workflow: {name: two}}]\n")}
	two := Source{File: "two", Text: []byte("api_version: signalbox/v1\nmetadata: {name: two, version: 1.0.0}\nsteps: [{id: a, timeout: 1h, workflow: {name: one}}]\n")}
	if fs := CheckAll([]Source{one, two}, nil, children{}); !fs.HasErrors() {
		t.Errorf("a circle of workflows: %s", fs)
	}
	faulty := Source{File: "two", Text: []byte("api_version: signalbox/v1\nmetadata: {name: two, version: 1.0.0}\nsteps: [{id: a, if: 'true', wait: {duration: 1s}}]\n")}
	fs := CheckAll([]Source{one, faulty}, nil, children{})
	if len(fs) != 1 || fs[0].File != "two" || fs[0].Rule != "L7" {
		t.Errorf("a fault of the child alone: %s", fs)
	}
	unread := Source{File: "three", Text: []byte(": :")}
	if fs := CheckAll([]Source{unread, faulty}, nil, nil); len(fs) != 2 || fs[0].File != "three" || fs[0].Rule != RuleSyntax {
		t.Error(fs)
	}
}
