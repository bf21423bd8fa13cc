package shop

import (
	"context"
	"encoding/json"
	"fmt"

	"zombiezen.com/go/sqlite"
)

// change is one write on its way: the transaction and what the journal will say of it.
type change struct {
	shop  *Shop
	conn  *sqlite.Conn
	entry Entry
	quiet bool // nothing changed: no journal row
}

// effect makes an operation of a function that writes. The function's work and its journal row are one
// transaction; a refusal undoes both.
func effect[A any](do func(*change, A) (string, error)) operation {
	return func(_ context.Context, s *Shop, c call) (Result, error) {
		var a A
		if err := c.decode(&a); err != nil {
			return Result{}, err
		}
		return s.transact(c, func(ch *change) (string, error) { return do(ch, a) })
	}
}

// transact runs one write and journals it.
func (s *Shop) transact(c call, do func(*change) (string, error)) (Result, error) {
	ch := &change{shop: s, entry: c.entry()}
	var out string
	err := s.write(func(conn *sqlite.Conn) (err error) {
		ch.conn = conn
		if out, err = do(ch); err != nil || ch.quiet {
			return err
		}
		ch.entry.Time = s.now()
		return journal(conn, ch.entry)
	})
	if err != nil {
		return Result{}, err
	}
	return Result{Text: out, Effect: !ch.quiet}, nil
}

// onOrder makes an operation of a rule about one order.
func onOrder[A interface{ order() string }](rule func(*matter, A) error) operation {
	return effect(func(ch *change, a A) (string, error) {
		m, err := ch.matter(a.order())
		if err != nil {
			return "", err
		}
		if err := rule(m, a); err != nil {
			return "", err
		}
		return ch.keep(m)
	})
}

// matter reads an order and its owner for a rule.
func (ch *change) matter(orderID string) (*matter, error) {
	goods, err := ch.shop.catalogue()
	if err != nil {
		return nil, err
	}
	m := &matter{order: &Order{}, user: &User{}, goods: goods}
	if err := ch.document("SELECT doc FROM orders WHERE id = ?", orderID, "order not found", m.order); err != nil {
		return nil, err
	}
	ch.entry.Subject = orderID
	return m, ch.document("SELECT doc FROM users WHERE id = ?", m.order.UserID, "user not found", m.user)
}

func (ch *change) document(query, id, otherwise string, into any) error {
	doc, found, err := text(ch.conn, query, id)
	if err != nil {
		return err
	}
	if !found {
		return refuse("%s", otherwise)
	}
	if err := json.Unmarshal([]byte(doc), into); err != nil {
		return fmt.Errorf("shop: stored document %s: %w", id, err)
	}
	return nil
}

// keep writes what a rule changed and gives the order as it is now.
func (ch *change) keep(m *matter) (string, error) {
	doc, err := encode(m.order)
	if err != nil {
		return "", err
	}
	if err := exec(ch.conn, "UPDATE orders SET doc = ? WHERE id = ?", doc, m.order.OrderID); err != nil {
		return "", err
	}
	if m.userChanged {
		if _, err := ch.keepUser(m.order.UserID, m.user); err != nil {
			return "", err
		}
	}
	return string(doc), nil
}

func (ch *change) keepUser(id string, u *User) (string, error) {
	doc, err := encode(u)
	if err != nil {
		return "", err
	}
	return string(doc), exec(ch.conn, "UPDATE users SET doc = ? WHERE id = ?", doc, id)
}

func modifyUserAddress(ch *change, a userAddressArgs) (string, error) {
	var u User
	if err := ch.document("SELECT doc FROM users WHERE id = ?", a.UserID, "user not found", &u); err != nil {
		return "", err
	}
	ch.entry.Subject = a.UserID
	u.Address = a.Address
	return ch.keepUser(a.UserID, &u)
}
