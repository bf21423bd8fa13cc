// Package check is the shop's auditor: it reads the shop's SQLite file by itself, read-only, and says
// what is there, what differs, and which effects ran more than once. It asks neither the desk nor
// Signalbox.
package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

// State is the users and orders of a shop as JSON documents by id, in the shape of users.json and
// orders.json. As a difference it holds only those that differ; a document that is gone is null.
type State struct {
	Users  map[string]json.RawMessage `json:"users,omitempty"`
	Orders map[string]json.RawMessage `json:"orders,omitempty"`
}

// Len is the number of documents.
func (s State) Len() int { return len(s.Users) + len(s.Orders) }

// Books is what a shop's file says besides users and orders, for assertions on the desk's own tools.
type Books struct {
	Transfers     []string          `json:"transfers"`     // summaries, in order
	Notes         []Note            `json:"notes"`         // in order
	Refunds       []shop.Refund     `json:"refunds"`       // by refund id
	CaseStatus    map[string]string `json:"case_status"`   // order id → status
	Confirmations map[string]string `json:"confirmations"` // message id → sending or sent
}

// Note is one note on a user.
type Note struct {
	UserID string `json:"user_id"`
	Text   string `json:"text"`
	Key    string `json:"key,omitempty"`
}

// File is a shop's file open for reading. Use it from one goroutine; Close it after use.
type File struct{ conn *sqlite.Conn }

// Open opens a shop's file read-only. A desk may be using the file at the same time.
func Open(path string) (*File, error) {
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	if err != nil {
		return nil, fmt.Errorf("check: open %s: %w", path, err)
	}
	return &File{conn: conn}, nil
}

// Close ends the reading.
func (f *File) Close() error { return f.conn.Close() }

// Current gives all users and orders as they are now, of one moment.
func (f *File) Current() (State, error) { return f.state("doc") }

// Start gives all users and orders as they were loaded, by the shop's own record. A stricter check
// takes the start from the source, by ReadDir.
func (f *File) Start() (State, error) { return f.state("start") }

func (f *File) state(column string) (s State, err error) {
	defer sqlitex.Transaction(f.conn)(&err)
	if s.Users, err = f.documents("SELECT id, " + column + " FROM users"); err != nil {
		return State{}, err
	}
	s.Orders, err = f.documents("SELECT id, " + column + " FROM orders")
	return s, err
}

func (f *File) documents(query string) (map[string]json.RawMessage, error) {
	docs := map[string]json.RawMessage{}
	err := f.each(query, func(r *sqlite.Stmt) { docs[r.ColumnText(0)] = json.RawMessage(r.ColumnText(1)) })
	return docs, err
}

func (f *File) each(query string, row func(*sqlite.Stmt)) error {
	err := sqlitex.Execute(f.conn, query, &sqlitex.ExecOptions{ResultFunc: func(r *sqlite.Stmt) error {
		row(r)
		return nil
	}})
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	return nil
}

// Journal gives all effects, oldest first.
func (f *File) Journal() ([]shop.Entry, error) { return shop.ReadJournal(f.conn, 0, 0) }

// Books gives the desk's other records.
func (f *File) Books() (b Books, err error) {
	defer sqlitex.Transaction(f.conn)(&err)
	b.CaseStatus, b.Confirmations = map[string]string{}, map[string]string{}
	if b.Refunds, err = shop.ReadRefunds(f.conn); err != nil {
		return b, err
	}
	for query, row := range map[string]func(*sqlite.Stmt){
		"SELECT summary FROM transfers ORDER BY transfer_id": func(r *sqlite.Stmt) { b.Transfers = append(b.Transfers, r.ColumnText(0)) },
		"SELECT user_id, text, coalesce(key, '') FROM notes ORDER BY note_id": func(r *sqlite.Stmt) {
			b.Notes = append(b.Notes, Note{r.ColumnText(0), r.ColumnText(1), r.ColumnText(2)})
		},
		"SELECT order_id, status FROM case_status":    func(r *sqlite.Stmt) { b.CaseStatus[r.ColumnText(0)] = r.ColumnText(1) },
		"SELECT message_id, state FROM confirmations": func(r *sqlite.Stmt) { b.Confirmations[r.ColumnText(0)] = r.ColumnText(1) },
	} {
		if err = f.each(query, row); err != nil {
			return b, err
		}
	}
	return b, nil
}

// ReadDir gives the start state from a folder of users.json and orders.json.
func ReadDir(dir string) (State, error) {
	d, err := shop.ReadData(dir)
	if err != nil {
		return State{}, err
	}
	return State{Users: d.Users.Docs, Orders: d.Orders.Docs}, nil
}

// Diff gives every user and order of after that differs from before, money compared to the cent.
func Diff(before, after State) State {
	return State{Users: diff(before.Users, after.Users), Orders: diff(before.Orders, after.Orders)}
}

func diff(before, after map[string]json.RawMessage) map[string]json.RawMessage {
	changed := map[string]json.RawMessage{}
	for id, doc := range after {
		if was, ok := before[id]; !ok || !bytes.Equal(was, doc) && !Equal(was, doc) {
			changed[id] = doc
		}
	}
	for id := range before {
		if _, ok := after[id]; !ok {
			changed[id] = json.RawMessage("null")
		}
	}
	return changed
}

// Union joins differences that touch different users and orders; it refuses a document in two of them.
func Union(parts ...State) (State, error) {
	all := State{Users: map[string]json.RawMessage{}, Orders: map[string]json.RawMessage{}}
	for _, p := range parts {
		for id, doc := range p.Users {
			if _, twice := all.Users[id]; twice {
				return State{}, fmt.Errorf("check: user %s is in two differences", id)
			}
			all.Users[id] = doc
		}
		for id, doc := range p.Orders {
			if _, twice := all.Orders[id]; twice {
				return State{}, fmt.Errorf("check: order %s is in two differences", id)
			}
			all.Orders[id] = doc
		}
	}
	return all, nil
}

// Compare says how got differs from want, one line a difference, in order; none when they are equal.
func Compare(want, got State) []string {
	return append(compare("user", want.Users, got.Users), compare("order", want.Orders, got.Orders)...)
}

func compare(kind string, want, got map[string]json.RawMessage) []string {
	var lines []string
	for _, id := range slices.Sorted(maps.Keys(want)) {
		doc, ok := got[id]
		if !ok {
			lines = append(lines, fmt.Sprintf("%s %s: should have changed and did not", kind, id))
		} else if why := Explain(want[id], doc); why != "" {
			lines = append(lines, fmt.Sprintf("%s %s: %s", kind, id, why))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[id]; !ok {
			lines = append(lines, fmt.Sprintf("%s %s: changed and should not have", kind, id))
		}
	}
	return lines
}
