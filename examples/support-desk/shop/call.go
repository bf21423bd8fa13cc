package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrUnknownTool is returned by Call for a name that is none of the shop's operations.
var ErrUnknownTool = errors.New("the shop has no such tool")

// Caller is what the asker says about a call; the journal keeps it. All may be empty.
type Caller struct {
	Key       string // idempotency key of the operation
	Operation string // id of the operation: one intended effect
	Attempt   string // which try of the operation
}

// Result is the answer to a call that was not refused.
type Result struct {
	// Text is one block of text: JSON where it parses as JSON, else a plain string. A plain string that
	// would parse as JSON is quoted, so that reading by this rule always gives back the exact value.
	Text string
	// Effect is true when the call changed the shop (and so has a row in the journal).
	Effect bool
}

// plain is the Result of an operation that answers with a string.
func plain(s string) Result {
	if !json.Valid([]byte(s)) {
		return Result{Text: s}
	}
	quoted, err := json.Marshal(s)
	if err != nil { // a Go string always marshals
		return Result{Text: s}
	}
	return Result{Text: string(quoted)}
}

// operation carries out one tool.
type operation func(ctx context.Context, s *Shop, call call) (Result, error)

// call is one invocation on its way through the shop.
type call struct {
	tool string
	args json.RawMessage
	by   Caller
}

// Call carries out a tool by its name. Errors: *Refusal (the shop's own no, nothing changed),
// ErrUnknownTool, ErrEmpty; anything else is a fault of the shop.
func (s *Shop) Call(ctx context.Context, tool string, args json.RawMessage, by Caller) (Result, error) {
	op, ok := operations[tool]
	if !ok {
		return Result{}, fmt.Errorf("%w: %q", ErrUnknownTool, tool)
	}
	if len(args) == 0 {
		args = json.RawMessage("{}")
	}
	return op(ctx, s, call{tool: tool, args: args, by: by})
}

// The arguments of the tools, by their schema.
type (
	none      struct{}
	orderArgs struct {
		OrderID string `json:"order_id"`
	}
	cancelArgs struct {
		orderArgs
		Reason string `json:"reason"`
	}
	addressArgs struct {
		orderArgs
		Address
	}
	paymentArgs struct {
		orderArgs
		PaymentMethodID string `json:"payment_method_id"`
	}
	returnArgs struct {
		paymentArgs
		ItemIDs []string `json:"item_ids"`
	}
	swapArgs struct {
		returnArgs
		NewItemIDs []string `json:"new_item_ids"`
	}
	userAddressArgs struct {
		UserID string `json:"user_id"`
		Address
	}
)

func (a orderArgs) order() string { return a.OrderID }

// operations are all tools by name.
var operations = map[string]operation{
	"calculate": answer(func(_ *Shop, a struct{ Expression string }) (Result, error) {
		value, err := Calculate(a.Expression)
		return Result{Text: value}, err
	}),
	"think":                    answer(func(_ *Shop, _ struct{ Thought string }) (Result, error) { return plain(""), nil }),
	"find_user_id_by_email":    answer(findByEmail),
	"find_user_id_by_name_zip": answer(findByNameZip),
	"get_order_details":        answer(getOrder),
	"get_product_details":      answer(getProduct),
	"get_user_details":         answer(getUser),
	"list_all_product_types":   answer(listProductTypes),
	"search_policy":            answer(searchPolicy),
	"find_refund":              answer(findRefund),
	"list_transfers":           answer(listTransfers),

	"cancel_pending_order":           onOrder(func(m *matter, a cancelArgs) error { return m.cancel(a.Reason) }),
	"modify_pending_order_address":   onOrder(func(m *matter, a addressArgs) error { return m.modifyAddress(a.Address) }),
	"modify_pending_order_payment":   onOrder(func(m *matter, a paymentArgs) error { return m.modifyPayment(a.PaymentMethodID) }),
	"modify_pending_order_items":     onOrder(func(m *matter, a swapArgs) error { return m.modifyItems(a.ItemIDs, a.NewItemIDs, a.PaymentMethodID) }),
	"exchange_delivered_order_items": onOrder(func(m *matter, a swapArgs) error { return m.exchange(a.ItemIDs, a.NewItemIDs, a.PaymentMethodID) }),
	"return_delivered_order_items":   onOrder(func(m *matter, a returnArgs) error { return m.returnItems(a.ItemIDs, a.PaymentMethodID) }),
	"modify_user_address":            effect(modifyUserAddress),
	"transfer_to_human_agents":       effect(transferToHuman),

	"add_note":          effect(addNote),
	"set_case_status":   effect(setCaseStatus),
	"create_refund":     effect(createRefund),
	"cancel_refund":     effect(cancelRefund),
	"send_confirmation": sendConfirmation,
}

// answer makes an operation of a function that only looks.
func answer[A any](look func(*Shop, A) (Result, error)) operation {
	return func(_ context.Context, s *Shop, c call) (Result, error) {
		var a A
		if err := c.decode(&a); err != nil {
			return Result{}, err
		}
		return look(s, a)
	}
}

// decode reads the arguments of the call.
func (c call) decode(into any) error {
	if err := decodeStrict(c.args, into); err != nil {
		return refuse("arguments of %s: %v", c.tool, err)
	}
	return nil
}
