package shop

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"zombiezen.com/go/sqlite"
)

// Entry is one row of the journal: one effect that happened.
type Entry struct {
	Seq             int64  `json:"seq"`  // order of commits
	Time            string `json:"time"` // RFC 3339, UTC
	Tool            string `json:"tool"`
	Subject         string `json:"subject"`          // the order, user, refund or message it was about
	Operation       string `json:"operation"`        // "" when the caller named none
	Attempt         string `json:"attempt"`          // "" when the caller named none
	Key             string `json:"key"`              // idempotency key the caller sent beside the arguments
	ArgumentKey     string `json:"argument_key"`     // the key among the arguments, for tools that take one
	ArgumentsDigest string `json:"arguments_digest"` // sha256 of the canonical arguments, hexadecimal
}

// entry starts the journal row of a call.
func (c call) entry() Entry {
	return Entry{
		Tool: c.tool, Operation: c.by.Operation, Attempt: c.by.Attempt, Key: c.by.Key,
		ArgumentsDigest: digest(c.args),
	}
}

// digest is independent of blanks and of the order of keys.
func digest(args json.RawMessage) string {
	dec := json.NewDecoder(bytes.NewReader(args))
	dec.UseNumber()
	var v any
	canonical := []byte(args)
	if dec.Decode(&v) == nil {
		if b, err := encode(v); err == nil {
			canonical = b
		}
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

func journal(c *sqlite.Conn, e Entry) error {
	return exec(c, `INSERT INTO journal (time, tool, subject, operation, attempt, key, argument_key, arguments)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, e.Time, e.Tool, e.Subject, e.Operation, e.Attempt, e.Key, e.ArgumentKey, e.ArgumentsDigest)
}

// Journal gives the effects with a sequence above after, oldest first; at most limit, 0 meaning all.
func (s *Shop) Journal(after int64, limit int) ([]Entry, error) {
	var entries []Entry
	err := s.read(func(c *sqlite.Conn) (err error) {
		entries, err = ReadJournal(c, after, limit)
		return err
	})
	return entries, err
}

// ReadJournal is Journal over a connection of the caller's, for programs that check a shop's file.
func ReadJournal(c *sqlite.Conn, after int64, limit int) ([]Entry, error) {
	if limit <= 0 {
		limit = -1
	}
	entries := []Entry{}
	err := rows(c, `SELECT seq, time, tool, subject, operation, attempt, key, argument_key, arguments
		FROM journal WHERE seq > ? ORDER BY seq LIMIT ?`, func(r *sqlite.Stmt) {
		entries = append(entries, Entry{
			Seq: r.ColumnInt64(0), Time: r.ColumnText(1), Tool: r.ColumnText(2), Subject: r.ColumnText(3),
			Operation: r.ColumnText(4), Attempt: r.ColumnText(5), Key: r.ColumnText(6),
			ArgumentKey: r.ColumnText(7), ArgumentsDigest: r.ColumnText(8),
		})
	}, after, int64(limit))
	return entries, err
}
