package desk

import "strings"

// Probe is a READ that tells, from the shop's state, whether a call of unknown outcome happened. It is
// what a tool server's declaration gives as `reconcile`.
//
// A probe can tell because an order takes each of these changes once: the shop refuses the second. What
// it cannot know is who made the change. So it is sound while the order (or the customer) is locked for
// the run, and what the retail probes see is then exactly the answer that was lost.
type Probe struct {
	Tool      string            // of the same server; only looks
	Arguments map[string]string // "${self.arguments.x}" stands for the lost call's argument x, "${self.idempotency_key}" for its key
	Happened  string            // CEL over `output` (the probe's answer) and `self` (the lost call)
}

const ofOrder = "${self.arguments.order_id}"

// sameAddress compares field by field: self.arguments is typed by the tool's schema, and CEL selects fields of a typed object by name only.
var sameAddress = func() string {
	var equal []string
	for _, f := range []string{"address1", "address2", "city", "state", "country", "zip"} {
		equal = append(equal, "output.address."+f+" == self.arguments."+f)
	}
	return strings.Join(equal, " && ")
}()

// sameItems compares a kept, sorted list of the order with an argument, as bags.
func sameItems(kept, argument string) string {
	k, a := "output."+kept, "self.arguments."+argument
	return "size(" + k + ") == size(" + a + ") && " + a + ".all(i, " + k + ".filter(x, x == i).size() == " + a + ".filter(x, x == i).size())"
}

func orderProbe(happened string) *Probe {
	return &Probe{Tool: "get_order_details", Arguments: map[string]string{"order_id": ofOrder}, Happened: happened}
}

// probes by tool. A write without one leaves no state that tells: transfer_to_human_agents keeps only
// the summary, which two calls may share, and add_note without a key is a note like any other.
var probes = map[string]*Probe{
	"cancel_pending_order": orderProbe(
		`output.status == 'cancelled' && has(output.cancel_reason) && output.cancel_reason == self.arguments.reason`),
	"exchange_delivered_order_items": orderProbe(
		`output.status == 'exchange requested' && output.exchange_payment_method_id == self.arguments.payment_method_id && ` +
			sameItems("exchange_items", "item_ids") + " && " + sameItems("exchange_new_items", "new_item_ids")),
	"modify_pending_order_address": orderProbe(
		`output.status == 'pending' && ` + sameAddress),
	"modify_pending_order_items": orderProbe(
		`output.status == 'pending (item modified)' && ` +
			`output.payment_history[size(output.payment_history) - 1].payment_method_id == self.arguments.payment_method_id && ` +
			`self.arguments.new_item_ids.all(i, output.items.filter(x, x.item_id == i).size() >= self.arguments.new_item_ids.filter(x, x == i).size())`),
	"modify_pending_order_payment": orderProbe(
		`output.status == 'pending' && size(output.payment_history) == 3 && ` +
			`output.payment_history[1].transaction_type == 'payment' && output.payment_history[1].payment_method_id == self.arguments.payment_method_id`),
	"modify_user_address": {
		Tool: "get_user_details", Arguments: map[string]string{"user_id": "${self.arguments.user_id}"}, Happened: sameAddress,
	},
	"return_delivered_order_items": orderProbe(
		`output.status == 'return requested' && output.return_payment_method_id == self.arguments.payment_method_id && ` +
			sameItems("return_items", "item_ids")),
	"create_refund": {
		Tool: "find_refund", Arguments: map[string]string{"key": "${self.idempotency_key}"}, Happened: `output.found`,
	},
}

// Probe gives the probe of a tool, nil when nothing in the shop can tell (or nothing needs to).
func (t Tool) Probe() *Probe { return probes[t.Name] }
