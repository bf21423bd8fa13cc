package shop

import (
	"bytes"
	"encoding/json"
)

// Address is where a user lives or where an order goes.
type Address struct {
	Address1 string `json:"address1"`
	Address2 string `json:"address2"`
	City     string `json:"city"`
	Country  string `json:"country"`
	State    string `json:"state"`
	Zip      string `json:"zip"`
}

// Name is a user's name.
type Name struct {
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
}

// PaymentMethod is one of a user's means of paying. Balance (in dollars) is set for gift cards only.
type PaymentMethod struct {
	Source   string   `json:"source"`
	Brand    string   `json:"brand,omitempty"`
	LastFour string   `json:"last_four,omitempty"`
	Balance  *float64 `json:"balance,omitempty"`
	ID       string   `json:"id"`
}

// User is a customer. Its id is the key it is stored under.
type User struct {
	Name           Name                      `json:"name"`
	Address        Address                   `json:"address"`
	Email          string                    `json:"email"`
	PaymentMethods map[string]*PaymentMethod `json:"payment_methods"`
	Orders         []string                  `json:"orders"`
}

// Item is one line of an order.
type Item struct {
	Name      string          `json:"name"`
	ProductID string          `json:"product_id"`
	ItemID    string          `json:"item_id"`
	Price     float64         `json:"price"`
	Options   json.RawMessage `json:"options"`
}

// Payment is one movement of money for an order; Amount is in dollars and never negative.
type Payment struct {
	TransactionType string  `json:"transaction_type"` // "payment" or "refund"
	Amount          float64 `json:"amount"`
	PaymentMethodID string  `json:"payment_method_id"`
}

// Order is one purchase. The fields from CancelReason on appear once the matching change was made.
type Order struct {
	OrderID        string          `json:"order_id"`
	UserID         string          `json:"user_id"`
	Address        Address         `json:"address"`
	Items          []*Item         `json:"items"`
	Fulfillments   json.RawMessage `json:"fulfillments"`
	Status         string          `json:"status"`
	PaymentHistory []Payment       `json:"payment_history"`

	CancelReason            string   `json:"cancel_reason,omitempty"`
	ExchangeItems           []string `json:"exchange_items,omitzero"`
	ExchangeNewItems        []string `json:"exchange_new_items,omitzero"`
	ExchangePaymentMethodID string   `json:"exchange_payment_method_id,omitempty"`
	ExchangePriceDifference *float64 `json:"exchange_price_difference,omitempty"`
	ReturnItems             []string `json:"return_items,omitzero"`
	ReturnPaymentMethodID   string   `json:"return_payment_method_id,omitempty"`
}

// Variant is one item that can be bought of a product.
type Variant struct {
	ItemID    string          `json:"item_id"`
	Options   json.RawMessage `json:"options"`
	Available bool            `json:"available"`
	Price     float64         `json:"price"`
}

// Product is a kind of thing the shop sells, with its variants by item id.
type Product struct {
	Name      string              `json:"name"`
	ProductID string              `json:"product_id"`
	Variants  map[string]*Variant `json:"variants"`
}

// encode is json.Marshal without the escaping meant for HTML pages, so that stored documents read
// as they were written.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// decodeStrict reads one JSON value and refuses fields that T does not have.
func decodeStrict(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}
