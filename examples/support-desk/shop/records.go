package shop

import (
	"fmt"
	"strings"

	"zombiezen.com/go/sqlite"
)

// reply writes the answer of a tool that gives an object.
func reply(v any) (string, error) {
	b, err := encode(v)
	return string(b), err
}

// exists refuses unless the query finds a row.
func (ch *change) exists(query, id, otherwise string) error {
	_, found, err := text(ch.conn, query, id)
	if err == nil && !found {
		err = refuse("%s", otherwise)
	}
	return err
}

func transferToHuman(ch *change, a struct{ Summary string }) (string, error) {
	err := exec(ch.conn, "INSERT INTO transfers (summary, created_at) VALUES (?, ?)", a.Summary, ch.shop.now())
	if err != nil {
		return "", err
	}
	ch.entry.Subject = fmt.Sprintf("transfer_%d", ch.conn.LastInsertRowID())
	return plain("Transfer successful").Text, nil
}

// Transfer is one case handed to a person.
type Transfer struct {
	TransferID string `json:"transfer_id"`
	Summary    string `json:"summary"`
	CreatedAt  string `json:"created_at"`
}

func listTransfers(s *Shop, a struct {
	Contains string
	Limit    int64
}) (Result, error) {
	if a.Limit <= 0 {
		a.Limit = 20
	}
	out := struct {
		Items []Transfer `json:"items"`
	}{Items: []Transfer{}}
	err := s.read(func(c *sqlite.Conn) error {
		return rows(c, "SELECT transfer_id, summary, created_at FROM transfers WHERE instr(summary, ?) > 0 ORDER BY transfer_id DESC LIMIT ?",
			func(r *sqlite.Stmt) {
				out.Items = append(out.Items, Transfer{fmt.Sprintf("transfer_%d", r.ColumnInt64(0)), r.ColumnText(1), r.ColumnText(2)})
			}, a.Contains, a.Limit)
	})
	if err != nil {
		return Result{}, err
	}
	text, err := reply(out)
	return Result{Text: text}, err
}

// addNote de-duplicates when, and only when, the call carries a key.
func addNote(ch *change, a struct {
	UserID string `json:"user_id"`
	Text   string
	Key    string
}) (string, error) {
	if strings.TrimSpace(a.Text) == "" {
		return "", refuse("text is empty: write what the note should say")
	}
	if err := ch.exists("SELECT id FROM users WHERE id = ?", a.UserID, "user not found"); err != nil {
		return "", err
	}
	if a.Key != "" {
		answer, err := ch.noteOf(a.Key, a.UserID, a.Text)
		if answer != "" || err != nil {
			return answer, err
		}
	}
	var key any
	if a.Key != "" {
		key = a.Key
	}
	err := exec(ch.conn, "INSERT INTO notes (user_id, text, key, created_at) VALUES (?, ?, ?, ?)", a.UserID, a.Text, key, ch.shop.now())
	if err != nil {
		return "", err
	}
	ch.entry.Subject, ch.entry.ArgumentKey = a.UserID, a.Key
	return noteReply(ch.conn.LastInsertRowID(), a.UserID)
}

// noteOf answers with the note that was made under key, "" when there is none.
func (ch *change) noteOf(key, userID, body string) (answer string, err error) {
	var id int64
	same := false
	err = rows(ch.conn, "SELECT note_id, user_id, text FROM notes WHERE key = ?", func(r *sqlite.Stmt) {
		id, same = r.ColumnInt64(0), r.ColumnText(1) == userID && r.ColumnText(2) == body
	}, key)
	if err != nil || id == 0 {
		return "", err
	}
	if !same {
		return "", refuse("key %q was used for another note", key)
	}
	ch.quiet = true
	return noteReply(id, userID)
}

func noteReply(id int64, userID string) (string, error) {
	return reply(struct {
		NoteID string `json:"note_id"`
		UserID string `json:"user_id"`
	}{fmt.Sprintf("note_%d", id), userID})
}

// setCaseStatus is idempotent by nature; setting the status it has already changes nothing.
func setCaseStatus(ch *change, a struct {
	OrderID string `json:"order_id"`
	Status  string
}) (string, error) {
	if err := ch.exists("SELECT id FROM orders WHERE id = ?", a.OrderID, "order not found"); err != nil {
		return "", err
	}
	is, _, err := text(ch.conn, "SELECT status FROM case_status WHERE order_id = ?", a.OrderID)
	if err != nil {
		return "", err
	}
	ch.quiet = is == a.Status
	ch.entry.Subject = a.OrderID
	if !ch.quiet {
		err = exec(ch.conn, `INSERT INTO case_status (order_id, status, updated_at) VALUES (?, ?, ?)
			ON CONFLICT (order_id) DO UPDATE SET status = excluded.status, updated_at = excluded.updated_at`,
			a.OrderID, a.Status, ch.shop.now())
		if err != nil {
			return "", err
		}
	}
	return reply(struct {
		OrderID string `json:"order_id"`
		Status  string `json:"status"`
	}{a.OrderID, a.Status})
}
