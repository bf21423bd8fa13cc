package storetest

import (
	"fmt"
	"sync"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

func testRecords(t *testing.T, f *fixture) {
	const missing = errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND
	key := func(kind, namespace, id string) core.RecordKey {
		return core.RecordKey{Kind: kind, Namespace: namespace, ID: id}
	}
	put := func(k core.RecordKey, data string, when core.RecordCondition) (uint64, error) {
		return f.PutRecord(f.ctx, core.Record{RecordKey: k, Data: []byte(data)}, when)
	}
	written := func(k core.RecordKey, data string, when core.RecordCondition, want uint64) {
		t.Helper()
		got, err := put(k, data, when)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "version of "+k.ID, got, want)
	}
	refused := func(k core.RecordKey, when core.RecordCondition) {
		t.Helper()
		_, err := put(k, "refused", when)
		wantReason(t, err, reasonVersion)
	}
	a := key("schedule", "default", "a")
	refused(a, core.RecordCondition{Version: 1})
	written(a, "1", core.RecordCondition{Absent: true}, 1)
	refused(a, core.RecordCondition{Absent: true})
	written(a, "2", core.RecordCondition{Version: 1}, 2)
	refused(a, core.RecordCondition{Version: 1})
	written(a, "3", core.RecordCondition{}, 3)
	got, err := f.GetRecord(f.ctx, a)
	if err != nil || string(got.Data) != "3" || got.Version != 3 || got.UpdateTime.IsZero() || got.RecordKey != a {
		t.Errorf("record %+v, %v", got, err)
	}
	_, err = f.GetRecord(f.ctx, key("batch", "default", "a"))
	wantReason(t, err, missing)

	for _, k := range []core.RecordKey{key("schedule", "other", "b"), key("schedule", "default", "c"), key("batch", "default", "d")} {
		written(k, "", core.RecordCondition{}, 1)
	}
	list := func(kind, namespace string) (all []string) {
		for _, r := range pages(t, 1, func(p core.Page) ([]core.Record, string, error) { return f.ListRecords(f.ctx, kind, namespace, p) }) {
			all = append(all, fmt.Sprint(r.Namespace, "/", r.ID))
		}
		return all
	}
	wantList(t, "all namespaces", list("schedule", ""), []string{"default/a", "default/c", "other/b"})
	wantList(t, "a namespace", list("schedule", "default"), []string{"default/a", "default/c"})
	wantList(t, "another kind", list("batch", ""), []string{"default/d"})
	_, _, err = f.ListRecords(f.ctx, "batch", "", core.Page{Limit: 1, Cursor: "nonsense"})
	wantReason(t, err, reasonBadCursor)

	wantReason(t, f.DeleteRecord(f.ctx, a, core.RecordCondition{Version: 2}), reasonVersion)
	wantEqual(t, "deletion", f.DeleteRecord(f.ctx, a, core.RecordCondition{Version: 3}), nil)
	wantReason(t, f.DeleteRecord(f.ctx, a, core.RecordCondition{}), missing)
	written(a, "again", core.RecordCondition{Absent: true}, 1)
	f.Store = f.reopen()
	wantList(t, "after reopening", list("schedule", ""), []string{"default/a", "default/c", "other/b"})
}

// testRecordRaces lets several writers count in one record; none of their writes may be lost.
func testRecordRaces(t *testing.T, f *fixture) {
	key := core.RecordKey{Kind: "cursor", Namespace: "default", ID: "n"}
	const writers, each = 8, 20
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				r, err := f.GetRecord(f.ctx, key)
				if err != nil && !core.IsReason(err, errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND) {
					t.Error(err)
					return
				}
				_, err = f.PutRecord(f.ctx, core.Record{RecordKey: key, Data: append(r.Data, 'x')},
					core.RecordCondition{Version: r.Version, Absent: r.Version == 0})
				switch {
				case err == nil:
					done++
				case !core.IsReason(err, reasonVersion):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	r, err := f.GetRecord(f.ctx, key)
	if err != nil || len(r.Data) != writers*each || r.Version != writers*each {
		t.Errorf("%d bytes at version %d, %v", len(r.Data), r.Version, err)
	}
}
