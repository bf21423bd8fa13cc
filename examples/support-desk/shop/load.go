package shop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"zombiezen.com/go/sqlite"
)

// Data is a whole shop, by id: what users.json, orders.json, products.json and policy.md hold.
type Data struct {
	Users    Documents
	Orders   Documents
	Products Documents
	Policy   string // Markdown
}

// Documents is a JSON object of documents that remembers the order of its keys.
type Documents struct {
	IDs  []string
	Docs map[string]json.RawMessage
}

// UnmarshalJSON reads an object of objects.
func (d *Documents) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("is not a JSON object of documents by id")
	}
	*d = Documents{Docs: map[string]json.RawMessage{}}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		id, _ := key.(string) // keys of an object are strings
		var doc json.RawMessage
		if err := dec.Decode(&doc); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		if _, twice := d.Docs[id]; twice {
			return fmt.Errorf("%s is there twice", id)
		}
		d.Add(id, doc)
	}
	return nil
}

// MarshalJSON writes the documents in their order.
func (d Documents) MarshalJSON() ([]byte, error) {
	var buf bytes.Buffer
	buf.WriteByte('{')
	for i, id := range d.IDs {
		if i > 0 {
			buf.WriteByte(',')
		}
		key, err := json.Marshal(id)
		if err != nil {
			return nil, err
		}
		buf.Write(key)
		buf.WriteByte(':')
		buf.Write(d.Docs[id])
	}
	buf.WriteByte('}')
	return buf.Bytes(), nil
}

// Add puts one more document at the end.
func (d *Documents) Add(id string, doc json.RawMessage) {
	if d.Docs == nil {
		d.Docs = map[string]json.RawMessage{}
	}
	d.IDs = append(d.IDs, id)
	d.Docs[id] = doc
}

// ReadData reads a folder of users.json, orders.json, products.json and policy.md. policy.md may be absent.
func ReadData(dir string) (Data, error) {
	var d Data
	for name, into := range map[string]*Documents{"users.json": &d.Users, "orders.json": &d.Orders, "products.json": &d.Products} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return Data{}, fmt.Errorf("shop data: %w", err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return Data{}, fmt.Errorf("shop data: %s: %w", filepath.Join(dir, name), err)
		}
	}
	policy, err := os.ReadFile(filepath.Join(dir, "policy.md"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Data{}, fmt.Errorf("shop data: %w", err)
	}
	d.Policy = string(policy)
	return d, nil
}

// Empty reports whether nothing was loaded yet.
func (s *Shop) Empty() bool {
	_, err := s.catalogue()
	return errors.Is(err, ErrEmpty)
}

// Load fills the shop with data and drops whatever it held, journal included. Data that does not fit
// together (an order of an unknown user, a field the rules do not know) is refused, and nothing changes.
func (s *Shop) Load(d Data) error {
	if len(d.Products.IDs) == 0 {
		return errors.New("shop data: no products")
	}
	err := s.write(func(c *sqlite.Conn) error {
		if err := clearAll(c, "users", "orders", "products"); err != nil {
			return err
		}
		if err := loadUsers(c, d.Users); err != nil {
			return err
		}
		if err := loadOrders(c, d); err != nil {
			return err
		}
		for _, id := range d.Products.IDs {
			var p Product
			doc, err := tidy(d.Products.Docs[id], &p)
			if err != nil {
				return fmt.Errorf("shop data: product %s: %w", id, err)
			}
			if err := exec(c, "INSERT INTO products (id, doc) VALUES (?, ?)", id, doc); err != nil {
				return err
			}
		}
		return putSetting(c, "policy", d.Policy)
	})
	if err != nil {
		return err
	}
	return s.restock()
}

func loadUsers(c *sqlite.Conn, users Documents) error {
	for pos, id := range users.IDs {
		var u User
		doc, err := tidy(users.Docs[id], &u)
		if err != nil {
			return fmt.Errorf("shop data: user %s: %w", id, err)
		}
		err = exec(c, "INSERT INTO users (id, pos, email_key, name_key, doc, start) VALUES (?, ?, ?, ?, ?, ?)",
			id, int64(pos), strings.ToLower(u.Email), nameKey(u.Name.FirstName, u.Name.LastName), doc, doc)
		if err != nil {
			return err
		}
	}
	return nil
}

func loadOrders(c *sqlite.Conn, d Data) error {
	for _, id := range d.Orders.IDs {
		var o Order
		doc, err := tidy(d.Orders.Docs[id], &o)
		if err != nil {
			return fmt.Errorf("shop data: order %s: %w", id, err)
		}
		if _, known := d.Users.Docs[o.UserID]; !known {
			return fmt.Errorf("shop data: order %s: user_id %q is no user", id, o.UserID)
		}
		if err := exec(c, "INSERT INTO orders (id, doc, start) VALUES (?, ?, ?)", id, doc, doc); err != nil {
			return err
		}
	}
	return nil
}

// tidy checks that a document has the shape of T and gives it without blanks.
func tidy(doc json.RawMessage, into any) ([]byte, error) {
	if err := decodeStrict(doc, into); err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if err := json.Compact(&buf, doc); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// Reset puts every user and order back to what was loaded and forgets all else, journal included.
// What the desk's fault switches remember stays.
func (s *Shop) Reset() error {
	return s.write(func(c *sqlite.Conn) error {
		if err := clearAll(c); err != nil {
			return err
		}
		if err := exec(c, "UPDATE users SET doc = start WHERE doc <> start"); err != nil {
			return err
		}
		return exec(c, "UPDATE orders SET doc = start WHERE doc <> start")
	})
}

// clearAll empties the tables of records, and those named besides.
func clearAll(c *sqlite.Conn, more ...string) error {
	for _, table := range append([]string{"notes", "transfers", "case_status", "refunds", "confirmations", "journal"}, more...) {
		if err := exec(c, "DELETE FROM "+table); err != nil {
			return err
		}
	}
	return nil
}

func nameKey(first, last string) string {
	return strings.ToLower(first) + "\n" + strings.ToLower(last)
}

// Setting reads a value the shop keeps for others; found is false when it was never put.
func (s *Shop) Setting(name string) (value string, found bool, err error) {
	err = s.read(func(c *sqlite.Conn) error {
		value, found, err = text(c, "SELECT value FROM settings WHERE name = ?", name)
		return err
	})
	return value, found, err
}

// PutSetting keeps a value under a name; it is durable when PutSetting returns.
func (s *Shop) PutSetting(name, value string) error {
	return s.write(func(c *sqlite.Conn) error {
		return putSetting(c, name, value)
	})
}

func putSetting(c *sqlite.Conn, name, value string) error {
	return exec(c, "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
}
