package sqlitestore

import (
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// TestListsDoNotSort looks at the plans of the lists of runs: each must go along an index in the order of the list.
func TestListsDoNotSort(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	for filter, want := range map[string]string{
		"":                                    "runs_by_namespace (namespace=? AND rowid<?)",
		"state = a":                           "runs_by_namespace (namespace=? AND rowid<?)",
		"workflow = a OR workflow = b":        "runs_by_namespace (namespace=? AND rowid<?)",
		"workflow = a*":                       "runs_by_namespace (namespace=? AND rowid<?)",
		"workflow = a":                        "runs_by_workflow (namespace=? AND workflow=? AND rowid<?)",
		"status = RUNNING":                    "runs_by_status (namespace=? AND status=? AND rowid<?)",
		"workflow = a AND status = RUNNING":   "runs_by_status (namespace=? AND status=? AND rowid<?)",
		"workflow = a AND status = ENDED":     "runs_by_workflow (namespace=? AND workflow=? AND rowid<?)",
		"NOT workflow = a AND status = ENDED": "runs_by_status (namespace=? AND status=? AND rowid<?)",
		"parent = a AND status = RUNNING":     "run_trees_by_parent (namespace=? AND parent_run_id=? AND rowid<?)",
		"root = a":                            "run_trees_by_root (namespace=? AND root_run_id=? AND rowid<?)",
		"root = \"\"":                         "runs_by_namespace (namespace=? AND rowid<?)",
		"paused = true":                       "runs_by_namespace (namespace=? AND rowid<?)",
	} {
		parsed, err := core.ParseFilter(filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, namespace := range []string{"default", ""} {
			if namespace == "" {
				want = "INTEGER PRIMARY KEY (rowid<?)"
			}
			sql, where := listRunsSQL(core.RunQuery{Namespace: namespace, Filter: parsed}, 1<<62, 50)
			plan := ""
			err = s.read(t.Context(), func(conn *sqlite.Conn) error {
				return once(conn, "EXPLAIN QUERY PLAN "+sql, where.bind, func(s *sqlite.Stmt) error {
					plan += s.ColumnText(3) + "\n"
					return nil
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(plan, want) || strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("filter %q in namespace %q: plan %s", filter, namespace, plan)
			}
		}
	}
}

// TestEventsAreNotScanned looks at the plans of the lists of events: one or many types, each goes along its index and none is sorted.
func TestEventsAreNotScanned(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	for types, want := range map[int]string{
		0: "events_by_position (namespace=? AND position>?)", 1: "events_by_type (namespace=? AND type=? AND position>?)",
		2: "MERGE (UNION ALL)", 100: "MERGE (UNION ALL)",
	} {
		plan := ""
		err := s.read(t.Context(), func(conn *sqlite.Conn) error {
			return once(conn, "EXPLAIN QUERY PLAN "+listEventsSQL(types), func(*sqlite.Stmt) {}, func(s *sqlite.Stmt) error {
				plan += s.ColumnText(3) + "\n"
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(plan, want) || strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "SCAN events") {
			t.Errorf("%d types: plan %s", types, plan)
		}
	}
}
