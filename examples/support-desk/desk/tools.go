package desk

import (
	"encoding/json"

	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

// Effect says what carrying out a tool does to the world, in Signalbox's words.
type Effect string

// The effects, from harmless to final.
const (
	Read            Effect = "READ"             // only looks
	IdempotentWrite Effect = "IDEMPOTENT_WRITE" // repeating it changes nothing more
	Write           Effect = "WRITE"            // repeating it does it again, or is refused
	Irreversible    Effect = "IRREVERSIBLE"     // cannot be taken back
)

// Tool is one tool of the desk.
type Tool struct {
	Name         string
	Description  string
	Effect       Effect
	KeyArgument  string          // the argument the tool de-duplicates by; empty: it never does
	InputSchema  json.RawMessage // JSON Schema of the arguments
	OutputSchema json.RawMessage // JSON Schema of the structured answer; nil: the answer is one text block
	destructive  bool            // overwrites or takes away, rather than adds
	openWorld    bool            // reaches people or systems outside of the shop
}

// The arguments that several tools share.
var (
	orderID   = text("order_id", "Id of the order with its leading '#', for example '#W0000000'.")
	userID    = text("user_id", "Id of the customer, for example 'ada_moss_1001'.")
	payWith   = text("payment_method_id", "Id of one of the customer's payment methods, for example 'gift_card_0000000' or 'credit_card_0000000'; it pays or receives the money.")
	oldItems  = texts("item_ids", "Item ids of the order to replace; name an id as often as it is meant.")
	newItems  = texts("new_item_ids", "Item ids to take instead, each of the same product as the id at the same place of item_ids.")
	addressIs = []prop{
		text("address1", "Street and number, for example '12 Quay Road'."),
		text("address2", "Flat, suite or floor; an empty text if there is none."),
		text("city", "Town, for example 'Boise'."),
		text("state", "State by its two letters, for example 'ID'."),
		text("country", "Country, for example 'USA'."),
		text("zip", "Postal code, for example '83702'."),
	}
)

// Tools gives all tools of the desk: the sixteen of the retail domain, then the desk's own.
func Tools() []Tool { return append(retailTools(), ownTools()...) }

func retailTools() []Tool {
	return append([]Tool{
		{Name: "calculate", Effect: Read,
			Description: "Work out an arithmetic expression and give the value rounded to two decimals.",
			InputSchema: object(text("expression", "Numbers, + - * /, parentheses and blanks, for example '2 * (3 + 4)'."))},
		{Name: "find_user_id_by_email", Effect: Read,
			Description: "Find a customer's id by e-mail address. Refused when no customer has that address.",
			InputSchema: object(text("email", "The e-mail address, for example 'ada@example.com'; case does not matter."))},
		{Name: "find_user_id_by_name_zip", Effect: Read,
			Description: "Find a customer's id by name and postal code, for customers who cannot give their e-mail address. Refused when nobody matches.",
			InputSchema: object(
				text("first_name", "First name, for example 'Ada'."),
				text("last_name", "Last name, for example 'Moss'."),
				text("zip", "Postal code of the customer's own address, for example '83702'."))},
		{Name: "get_order_details", Effect: Read,
			Description: "Show an order: status, items, address and payments.",
			InputSchema: object(orderID)},
		{Name: "get_product_details", Effect: Read,
			Description: "Show a product with all its items: options, price, and whether each can be had.",
			InputSchema: object(text("product_id", "Id of the product, for example '4000000001'. An item id is something else."))},
		{Name: "get_user_details", Effect: Read,
			Description: "Show a customer: address, payment methods and order ids.",
			InputSchema: object(userID)},
		{Name: "list_all_product_types", Effect: Read,
			Description: "List the names of all products with their product ids.",
			InputSchema: object()},
		{Name: "think", Effect: Read,
			Description: "Write a thought down for yourself. It changes nothing and tells nothing new.",
			InputSchema: object(text("thought", "The thought."))},
		{Name: "transfer_to_human_agents", Effect: Write, openWorld: true,
			Description: "Hand the customer to a colleague with a summary, when they ask for one or no tool can settle the matter.",
			InputSchema: object(text("summary", "What the matter is, for the colleague."))},
	}, retailChanges()...)
}

// retailChanges are the tools that change an order or a customer. None of them is de-duplicated.
func retailChanges() []Tool {
	const ask = " Tell the customer what will change and have their yes first."
	change := func(name, about string, props ...prop) Tool {
		return Tool{Name: name, Description: about + ask, Effect: Write, destructive: true, InputSchema: object(props...)}
	}
	return []Tool{
		change("cancel_pending_order", "Cancel an order that is still pending and refund it: to a gift card at once, otherwise within 5 to 7 business days. Gives the order as it is then.",
			orderID, choice("reason", "Why: 'no longer needed' or 'ordered by mistake'.", "no longer needed", "ordered by mistake")),
		change("exchange_delivered_order_items", "Exchange items of a delivered order for others of the same products. An order can be exchanged or returned only once.",
			orderID, oldItems, newItems, payWith),
		change("modify_pending_order_address", "Send a pending order to another address.",
			append([]prop{orderID}, addressIs...)...),
		change("modify_pending_order_items", "Replace items of a pending order by others of the same products. It works once for an order, and nothing else can be changed afterwards.",
			orderID, oldItems, newItems, payWith),
		change("modify_pending_order_payment", "Pay a pending order by another of the customer's payment methods; the former one is refunded.",
			orderID, payWith),
		change("modify_user_address", "Change a customer's own address. Orders under way keep theirs.",
			append([]prop{userID}, addressIs...)...),
		change("return_delivered_order_items", "Take items of a delivered order back. The order becomes 'return requested' and the customer is told by mail how to send them.",
			orderID, texts("item_ids", "Item ids of the order to send back; name an id as often as it is meant."), payWith),
	}
}

// caseStatuses are the statuses of a customer's case about an order.
var caseStatuses = []string{"open", "in_progress", "waiting", "escalated", "resolved", "closed"}

func ownTools() []Tool {
	refundKey := text("key", "A key unique to this refund; asking again with it gives the same refund.").with("minLength", 1).with("maxLength", 512)
	refundFields := []prop{text("refund_id", ""), text("order_id", ""), number("amount", "In dollars."), text("payment_method_id", ""), choice("status", "", "issued", "cancelled")}
	return []Tool{
		{Name: "search_policy", Effect: Read,
			Description: "Find the passages of the desk's policy that fit a question best, best first.",
			InputSchema: object(
				text("query", "What to look for, in plain words.").with("minLength", 1).with("maxLength", 8000),
				typed("limit", "integer", "How many passages at most. Default 5.").with("minimum", 1).with("maximum", 20).orNot()),
			OutputSchema: object(list("items", "", text("title", "The headings above the passage."), text("text", ""), number("score", "Higher fits better.")))},
		{Name: "list_transfers", Effect: Read,
			Description: "List the cases that were handed to a colleague, newest first.",
			InputSchema: object(
				text("contains", "Only summaries that contain this text.").orNot(),
				typed("limit", "integer", "How many at most. Default 20.").with("minimum", 1).with("maximum", 200).orNot()),
			OutputSchema: object(list("items", "", text("transfer_id", ""), text("summary", ""), text("created_at", "RFC 3339, UTC.")))},
		{Name: "add_note", Effect: Write, KeyArgument: "key",
			Description: "Add a note to a customer's record. With a key, the same key adds it once only.",
			InputSchema: object(userID,
				text("text", "What the note says.").with("minLength", 1).with("maxLength", 8000),
				text("key", "A key unique to this note.").with("minLength", 1).with("maxLength", 512).orNot()),
			OutputSchema: object(text("note_id", ""), text("user_id", ""))},
		{Name: "set_case_status", Effect: IdempotentWrite,
			Description:  "Set how the case about an order stands.",
			InputSchema:  object(orderID, choice("status", "The new status.", caseStatuses...)),
			OutputSchema: object(text("order_id", ""), text("status", ""))},
		{Name: "create_refund", Effect: Write, KeyArgument: "key",
			Description: "Give part of an order's price back by its first payment method, without a return. A gift card has the money at once. Not more than what is still paid for the order.",
			InputSchema: object(orderID,
				number("amount", "How much, in dollars and cents.").with("minimum", 0.01).with("maximum", 1e7), refundKey),
			OutputSchema: object(refundFields...)},
		{Name: "find_refund", Effect: Read,
			Description:  "Tell whether a refund with that key was made, and how it stands.",
			InputSchema:  object(refundKey),
			OutputSchema: object(append([]prop{typed("found", "boolean", "")}, optional(refundFields)...)...)},
		{Name: "cancel_refund", Effect: IdempotentWrite, destructive: true,
			Description:  "Take a refund back. Taking it back twice changes nothing more.",
			InputSchema:  object(text("refund_id", "Id of the refund, as create_refund gave it.")),
			OutputSchema: object(refundFields...)},
		{Name: "send_confirmation", Effect: Irreversible, KeyArgument: "message_id", openWorld: true,
			Description: "Mail a customer one of the desk's letters. The same message_id is sent once only.",
			InputSchema: object(userID,
				choice("template", "Which letter.", shop.Templates()...),
				text("message_id", "An id unique to this message; it becomes its Message-ID.").with("minLength", 1).with("maxLength", 512)),
			OutputSchema: object(text("message_id", ""), text("address", ""), text("status", ""))},
	}
}

func optional(props []prop) []prop {
	out := make([]prop, len(props))
	for i, p := range props {
		out[i] = p.orNot()
	}
	return out
}
