package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
	"github.com/signalbox-dev/signalbox/examples/support-desk/workflow"
)

// letter is one customer's message, and the run that works it.
type letter struct {
	runID string
	name  string // of the customer
	input workflow.Input
}

// mailbag holds customers' letters about the orders of a shop, each about an order of its own.
type mailbag struct {
	rand   *rand.Rand
	names  map[string]string // customer → first and last name
	orders []shop.Order      // in a random order; taken ones are gone
	users  []string
	drawn  int
}

// openMailbag reads a shop. What the customers write about, and how, is drawn from the seed.
func openMailbag(dir string, r *rand.Rand) (*mailbag, error) {
	data, err := shop.ReadData(dir)
	if err != nil {
		return nil, err
	}
	b := &mailbag{rand: r, names: map[string]string{}}
	for _, id := range data.Users.IDs {
		var u shop.User
		if err := json.Unmarshal(data.Users.Docs[id], &u); err != nil {
			return nil, fmt.Errorf("user %s: %w", id, err)
		}
		b.names[id] = u.Name.FirstName + " " + u.Name.LastName
		b.users = append(b.users, id)
	}
	for _, id := range data.Orders.IDs {
		var o shop.Order
		if err := json.Unmarshal(data.Orders.Docs[id], &o); err != nil {
			return nil, fmt.Errorf("order %s: %w", id, err)
		}
		if len(o.Items) > 0 && len(o.PaymentHistory) > 0 && b.names[o.UserID] != "" {
			b.orders = append(b.orders, o)
		}
	}
	r.Shuffle(len(b.orders), func(i, j int) { b.orders[i], b.orders[j] = b.orders[j], b.orders[i] })
	return b, nil
}

// take gives an order that fits and is nobody's letter yet.
func (b *mailbag) take(fits func(shop.Order) bool) (shop.Order, bool) {
	i := slices.IndexFunc(b.orders, fits)
	if i < 0 {
		return shop.Order{}, false
	}
	o := b.orders[i]
	b.orders = slices.Delete(b.orders, i, i+1)
	return o, true
}

func delivered(o shop.Order) bool { return o.Status == "delivered" }

// cheap is an item that the desk may refund by itself; nil if the order has none.
func cheap(o shop.Order) *shop.Item {
	i := slices.IndexFunc(o.Items, func(it *shop.Item) bool { return it.Price < 95 })
	if i < 0 {
		return nil
	}
	return o.Items[i]
}

// phrase picks one of several ways to say something.
func (b *mailbag) phrase(ways ...string) string { return ways[b.rand.IntN(len(ways))] }

func (b *mailbag) write(o shop.Order, format string, args ...any) *letter {
	b.drawn++
	name := b.names[o.UserID]
	_, last, _ := strings.Cut(name, " ")
	return &letter{
		runID: fmt.Sprintf("case-%02d-%s", b.drawn, slug(last)), name: name,
		input: workflow.Input{UserID: o.UserID, OrderID: o.OrderID, Message: fmt.Sprintf(format, args...), Channel: b.phrase("email", "chat")},
	}
}

// slug keeps what may stand in the id of a run.
func slug(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(name))
}

// damaged is a letter about one cheap item that came broken: the agent refunds it by itself.
func (b *mailbag) damaged() (*letter, bool) {
	o, ok := b.take(func(o shop.Order) bool { return delivered(o) && cheap(o) != nil })
	if !ok {
		return nil, false
	}
	return b.write(o, b.phrase(
		"The %s of my order %s arrived damaged. I would like my money back for it.",
		"I opened parcel %[2]s today and the %[1]s is broken. Please refund it.",
		"My %s (order %s) came cracked. Can I have the price back?",
	), cheap(o).Name, o.OrderID), true
}

// about is a letter about an order that fits, in one of several ways over its first item and its id.
func (b *mailbag) about(fits func(shop.Order) bool, ways ...string) (*letter, bool) {
	o, ok := b.take(fits)
	if !ok {
		return nil, false
	}
	return b.write(o, b.phrase(ways...), o.Items[0].Name, o.OrderID), true
}

// strangers is a letter about somebody else's order.
func (b *mailbag) strangers() (*letter, bool) {
	o, ok := b.take(delivered)
	if !ok {
		return nil, false
	}
	i := slices.IndexFunc(b.users, func(id string) bool { return id != o.UserID })
	if i < 0 {
		return nil, false
	}
	o.UserID = b.users[i]
	return b.write(o, "What did my neighbour order with %s? And where does it go?", o.OrderID), true
}

// draw gives the next letter: kinds take turns, so that each comes up; one that the shop has no order for is passed over.
func (b *mailbag) draw(turn int) (*letter, error) {
	expensive := func(o shop.Order) bool { return delivered(o) && o.PaymentHistory[0].Amount > 110 }
	kinds := []func() (*letter, bool){
		b.damaged,
		func() (*letter, bool) {
			return b.about(expensive, "My parcel %[2]s never arrived. I want my money back.", "Order %[2]s has not arrived, and it was not cheap.")
		},
		func() (*letter, bool) {
			return b.about(func(o shop.Order) bool { return o.Status == "pending" }, "Where is my order %[2]s?", "When will %[2]s be sent? The %[1]s is a present.")
		},
		b.damaged,
		func() (*letter, bool) {
			return b.about(delivered, "The %s of %s is missing from the parcel.", "The parcel %[2]s was incomplete: no %[1]s in it.")
		},
		func() (*letter, bool) {
			return b.about(delivered, "The %s of %s is broken. Please send another one.", "My %s from %s came dented; I would like another one.")
		},
		func() (*letter, bool) {
			return b.about(func(o shop.Order) bool { return o.Status == "pending" }, "I am your best customer and expect a gift with %[2]s.", "About %[2]s: I have an idea for your shop.")
		},
		func() (*letter, bool) {
			return b.about(delivered, "Order %[2]s came ten days late.", "You delivered %[2]s two weeks late.")
		},
		b.strangers,
		func() (*letter, bool) { return b.about(expensive, "Something in parcel %[2]s arrived damaged.") },
	}
	for i := range kinds {
		if l, ok := kinds[(turn+i)%len(kinds)](); ok {
			return l, nil
		}
	}
	if l, ok := b.about(func(shop.Order) bool { return true }, "How does my order %[2]s stand?"); ok {
		return l, nil
	}
	return nil, fmt.Errorf("the shop has no more orders to write about after %d letters; give fewer --cases", b.drawn)
}
