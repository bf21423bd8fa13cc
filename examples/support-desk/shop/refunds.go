package shop

import (
	"crypto/sha256"
	"encoding/hex"
	"math"

	"zombiezen.com/go/sqlite"
)

// The states of a refund.
const (
	refundIssued    = "issued"
	refundCancelled = "cancelled"
)

// Refund is money given back for an order outside of a return. On a gift card it moves at once.
type Refund struct {
	RefundID        string  `json:"refund_id"`
	OrderID         string  `json:"order_id"`
	Amount          float64 `json:"amount"` // dollars
	PaymentMethodID string  `json:"payment_method_id"`
	Status          string  `json:"status"` // issued or cancelled
	key             string
	cents           int64
}

// ReadRefunds gives the refunds of a shop's file in the order of their ids.
func ReadRefunds(c *sqlite.Conn) ([]Refund, error) { return refunds(c, "TRUE ORDER BY refund_id") }

func refunds(c *sqlite.Conn, where string, args ...any) ([]Refund, error) {
	var out []Refund
	err := rows(c, "SELECT refund_id, order_id, amount_cents, payment_method_id, key, status FROM refunds WHERE "+where,
		func(r *sqlite.Stmt) {
			cents := r.ColumnInt64(2)
			out = append(out, Refund{
				RefundID: r.ColumnText(0), OrderID: r.ColumnText(1), Amount: float64(cents) / 100,
				PaymentMethodID: r.ColumnText(3), key: r.ColumnText(4), Status: r.ColumnText(5), cents: cents,
			})
		}, args...)
	return out, err
}

// createRefund gives back part of what was paid for an order, by the method of its first payment. The
// same key answers with the refund it made.
func createRefund(ch *change, a struct {
	OrderID string `json:"order_id"`
	Amount  float64
	Key     string
}) (string, error) {
	cents := int64(math.Round(a.Amount * 100))
	if cents <= 0 || cents > 1e9 {
		return "", refuse("amount must be at least 0.01 and at most 10000000 dollars")
	}
	if a.Key == "" {
		return "", refuse("key is empty: send a key that is unique to this refund")
	}
	made, err := refunds(ch.conn, "key = ?", a.Key)
	if err != nil {
		return "", err
	}
	if len(made) > 0 {
		if made[0].OrderID != a.OrderID || made[0].cents != cents {
			return "", refuse("key %q was used for another refund", a.Key)
		}
		ch.quiet = true
		return reply(made[0])
	}
	m, err := ch.matter(a.OrderID)
	if err != nil {
		return "", err
	}
	if err := ch.affordable(m, cents); err != nil {
		return "", err
	}
	r := Refund{
		RefundID: refundID(a.Key), OrderID: a.OrderID, Amount: float64(cents) / 100, cents: cents,
		PaymentMethodID: m.order.PaymentHistory[0].PaymentMethodID, Status: refundIssued,
	}
	if err := ch.moveGiftCard(m, r, r.Amount); err != nil {
		return "", err
	}
	ch.entry.ArgumentKey = a.Key
	err = exec(ch.conn, `INSERT INTO refunds (refund_id, order_id, amount_cents, payment_method_id, key, status, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?)`, r.RefundID, r.OrderID, cents, r.PaymentMethodID, a.Key, r.Status, ch.shop.now())
	if err != nil {
		return "", err
	}
	return reply(r)
}

// refundID is made from the key, so that it never depends on what else happened.
func refundID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "refund_" + hex.EncodeToString(sum[:8])
}

// affordable refuses a refund of more than the customer still has with us for the order.
func (ch *change) affordable(m *matter, cents int64) error {
	var kept int64
	for _, p := range m.order.PaymentHistory {
		if p.TransactionType == "payment" {
			kept += int64(math.Round(p.Amount * 100))
		} else {
			kept -= int64(math.Round(p.Amount * 100))
		}
	}
	given, err := refunds(ch.conn, "order_id = ? AND status = '"+refundIssued+"'", m.order.OrderID)
	if err != nil {
		return err
	}
	for _, r := range given {
		kept -= r.cents
	}
	if cents > kept {
		return refuse("the refund is more than the %.2f that is still paid for the order", float64(max(kept, 0))/100)
	}
	return nil
}

// moveGiftCard books a refund (or, negative, its undoing) on the gift card it goes to; other methods
// are settled by their bank later.
func (ch *change) moveGiftCard(m *matter, r Refund, amount float64) error {
	if !isGiftCard(r.PaymentMethodID) {
		return nil
	}
	card := m.user.PaymentMethods[r.PaymentMethodID]
	if card == nil {
		return refuse("payment method not found")
	}
	if amount < 0 && short(card, -amount) {
		return refuse("the refund was already spent from the gift card")
	}
	m.credit(card, amount)
	_, err := ch.keepUser(m.order.UserID, m.user)
	return err
}

// cancelRefund takes a refund back; of one that is cancelled already it changes nothing.
func cancelRefund(ch *change, a struct {
	RefundID string `json:"refund_id"`
}) (string, error) {
	made, err := refunds(ch.conn, "refund_id = ?", a.RefundID)
	if err != nil {
		return "", err
	}
	if len(made) == 0 {
		return "", refuse("refund not found")
	}
	r := made[0]
	if r.Status == refundCancelled {
		ch.quiet = true
		return reply(r)
	}
	m, err := ch.matter(r.OrderID)
	if err != nil {
		return "", err
	}
	if err := ch.moveGiftCard(m, r, -r.Amount); err != nil {
		return "", err
	}
	r.Status = refundCancelled
	ch.entry.Subject, ch.entry.ArgumentKey = r.OrderID, r.key
	if err := exec(ch.conn, "UPDATE refunds SET status = ? WHERE refund_id = ?", r.Status, r.RefundID); err != nil {
		return "", err
	}
	return reply(r)
}

func findRefund(s *Shop, a struct{ Key string }) (Result, error) {
	var made []Refund
	err := s.read(func(c *sqlite.Conn) (err error) {
		made, err = refunds(c, "key = ?", a.Key)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	out := struct {
		Found bool `json:"found"`
		*Refund
	}{}
	if len(made) > 0 {
		out.Found, out.Refund = true, &made[0]
	}
	text, err := reply(out)
	return Result{Text: text}, err
}
