package minds_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/support-desk/minds"
	"github.com/signalbox-dev/signalbox/examples/support-desk/seed"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
	"github.com/signalbox-dev/signalbox/examples/support-desk/workflow"
	definition "github.com/signalbox-dev/signalbox/pkg/workflow"
)

// find gives the first order of the sample shop that a test can use.
func find(t *testing.T, data shop.Data, fits func(shop.Order) bool) shop.Order {
	t.Helper()
	for _, id := range data.Orders.IDs {
		var o shop.Order
		if err := json.Unmarshal(data.Orders.Docs[id], &o); err != nil {
			t.Fatal(err)
		}
		if fits(o) {
			return o
		}
	}
	t.Fatal("the sample shop has no such order")
	return shop.Order{}
}

func status(want string) func(shop.Order) bool {
	return func(o shop.Order) bool { return o.Status == want && len(o.Items) > 1 }
}

// stocked tells whether the shop has another one of an item.
func stocked(t *testing.T, data shop.Data, it *shop.Item) bool {
	t.Helper()
	var p shop.Product
	if err := json.Unmarshal(data.Products.Docs[it.ProductID], &p); err != nil {
		t.Fatal(err)
	}
	return p.Variants[it.ItemID].Available
}

func TestTheResolverDecidesByMessageOrderAndPolicy(t *testing.T) {
	data, err := seed.Data(7)
	if err != nil {
		t.Fatal(err)
	}
	delivered, pending, cancelled := find(t, data, status("delivered")), find(t, data, status("pending")), find(t, data, func(o shop.Order) bool { return o.Status == "cancelled" })
	inStock := find(t, data, func(o shop.Order) bool { return o.Status == "delivered" && stocked(t, data, o.Items[0]) })
	soldOut := find(t, data, func(o shop.Order) bool { return o.Status == "delivered" && !stocked(t, data, o.Items[0]) })
	paid := delivered.PaymentHistory[0].Amount
	for _, c := range []struct {
		name    string
		order   shop.Order
		message string
		action  string
		amount  float64
		sure    bool
	}{
		{"damaged item", delivered, "The %s arrived cracked.", "refund", delivered.Items[0].Price, true},
		{"missing item", delivered, "The %s is missing from my parcel.", "refund", delivered.Items[0].Price, true},
		{"another one in stock", inStock, "The %s arrived broken. Please send another one.", "replace", 0, true},
		{"another one sold out", soldOut, "The %s arrived broken. Please send another one.", "refund", soldOut.Items[0].Price, true},
		{"all of it", delivered, "My parcel never arrived.", "refund", paid, true},
		{"late", delivered, "It came ten days late.", "refund", paid / 10, true},
		{"which one?", delivered, "Something arrived damaged.", "refund", paid, false},
		{"question", pending, "When will it come?", "answer", 0, true},
		{"not yet sent", pending, "The %s arrived cracked.", "answer", 0, false},
		{"no longer paid", cancelled, "The %s arrived cracked.", "answer", 0, false},
		{"something else", delivered, "I would like to sing with you.", "answer", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t, minds.Resolver{})
			message := c.message
			if strings.Contains(message, "%s") {
				message = fmt.Sprintf(message, c.order.Items[0].Name)
			}
			d.offer("task", map[string]any{"message": message, "order": c.order, "customer": shop.Name{FirstName: "Ada"}}, "desk/search_policy", "desk/get_product_details")
			raw := wait(t, d.done)
			var r minds.Resolution
			if err := json.Unmarshal(raw, &r); err != nil {
				t.Fatal(err)
			}
			if r.Action != c.action || r.Amount < c.amount-0.005 || r.Amount > c.amount+0.005 || r.Confidence >= 0.8 != c.sure {
				t.Errorf("%+v, want %s of %.2f, sure: %v", r, c.action, c.amount, c.sure)
			}
			if r.Reason == "" || !strings.HasPrefix(r.Reply, "Dear Ada, ") {
				t.Errorf("%+v: reason and reply are missing", r)
			}
			fits(t, raw)
		})
	}
}

// fits holds a resolution to the schema that the workflow's step gives.
func fits(t *testing.T, raw json.RawMessage) {
	t.Helper()
	tools, err := workflow.Declarations(workflow.Server)
	if err != nil {
		t.Fatal(err)
	}
	def, _ := definition.Check(workflow.File, workflow.Source(), definition.NewCatalog(tools), nil)
	step, ok := def.Step("decide")
	if !ok {
		t.Fatal("the workflow has no step decide")
	}
	if err := step.Output.Validate(raw); err != nil {
		t.Error(err)
	}
}
