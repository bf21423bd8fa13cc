package storetest

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// Definition makes a definition to be kept.
func Definition(name, version, digest string) *core.Definition {
	return &core.Definition{
		Namespace: core.DefaultNamespace, Name: name, Version: version, Digest: digest, Source: []byte("source of " + digest),
		Proto:      &workflowv1.WorkflowDefinition{ApiVersion: "signalbox/v1", Metadata: &workflowv1.Metadata{Name: name, Version: version}},
		Tools:      []*workflowv1.ToolDeclaration{{Server: "shop", Name: "get"}, {Server: "shop", Name: "put"}},
		CreateTime: Start, Findings: workflow.Findings{{Rule: "L4", Severity: workflow.SeverityWarning, Line: 3, Message: "untyped"}},
	}
}

func testDefinitions(t *testing.T, f *fixture) {
	add := func(d *core.Definition, wantCreated bool, wantDigest string) {
		t.Helper()
		kept, created, err := f.AddDefinition(f.ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "created "+d.Version, created, wantCreated)
		wantEqual(t, "digest of "+d.Version, kept.Digest, wantDigest)
	}
	add(Definition("refund", "1.9.0", "d1"), true, "d1")
	add(Definition("refund", "1.10.0", "d2"), true, "d2")
	add(Definition("refund", "1.2.0", "d3"), true, "d3")
	add(Definition("hello", "1.0.0", "d4"), true, "d4")
	add(Definition("refund", "1.9.0", "d1"), false, "d1")
	add(Definition("refund", "1.9.0", "changed"), false, "d1")
	elsewhere := Definition("refund", "9.0.0", "d5")
	elsewhere.Namespace = "other"
	add(elsewhere, true, "d5")

	find := func(key core.DefinitionKey) *core.Definition {
		t.Helper()
		key.Namespace = core.DefaultNamespace
		d, err := f.FindDefinition(f.ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	got, want := find(core.DefinitionKey{Name: "refund"}), Definition("refund", "1.10.0", "d2")
	if got == nil {
		t.Fatal("the highest version is missing")
	}
	wantEqual(t, "highest version", got.Version, want.Version)
	wantEqual(t, "definition", proto.Equal(got.Proto, want.Proto), true)
	wantEqual(t, "tools", slices.EqualFunc(got.Tools, want.Tools, func(a, b *workflowv1.ToolDeclaration) bool { return proto.Equal(a, b) }), true)
	wantEqual(t, "source", string(got.Source), string(want.Source))
	wantEqual(t, "create time", got.CreateTime, want.CreateTime)
	wantList(t, "findings", got.Findings, want.Findings)
	wantEqual(t, "by version", find(core.DefinitionKey{Name: "refund", Version: "1.2.0"}).Digest, "d3")
	wantEqual(t, "by digest", find(core.DefinitionKey{Digest: "d1"}).Version, "1.9.0")
	known := find(core.DefinitionKey{Name: "refund", Known: "d2"})
	wantEqual(t, "the version that is known", known.Version+" "+known.Digest, "1.10.0 d2")
	wantEqual(t, "has its definition", known.Proto != nil, false)
	wantEqual(t, "the one after that which is known", find(core.DefinitionKey{Name: "refund", Known: "d1"}).Proto != nil, true)
	for _, key := range []core.DefinitionKey{{Name: "refnud"}, {Name: "refund", Version: "2.0.0"}, {Digest: "d5"}} {
		if d := find(key); d != nil {
			t.Errorf("%+v finds %s %s", key, d.Name, d.Version)
		}
	}

	list := func(q core.DefinitionQuery) (all []string) {
		t.Helper()
		for _, d := range pages(t, 2, func(p core.Page) ([]*core.Definition, string, error) { return f.ListDefinitions(f.ctx, q, p) }) {
			if len(d.Source) > 0 {
				t.Errorf("the list has the source of %s", d.Digest)
			}
			all = append(all, d.Digest)
		}
		return all
	}
	wantList(t, "all", list(core.DefinitionQuery{}), []string{"d5", "d4", "d3", "d2", "d1"})
	wantList(t, "of a name", list(core.DefinitionQuery{Namespace: core.DefaultNamespace, Name: "refund"}), []string{"d3", "d2", "d1"})
	wantList(t, "highest only", list(core.DefinitionQuery{LatestOnly: true}), []string{"d5", "d4", "d2"})
	versions, err := f.ListVersions(f.ctx, core.DefaultNamespace)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "versions", len(versions), 4)
}
