// Package minds is how the desk's agent makes up its mind. Where a real agent asks a model, Resolver follows rules and Script a file of calls, so that
// what they do can be checked.
package minds

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/signalbox-dev/signalbox/examples/agent"
)

// Resolver decides on complaints of the support escalation. It reads the message for a few words, asks the policy and the catalogue, and
// says how sure it is: what it does not understand it leaves to a person.
type Resolver struct{}

// Resolution is what a Resolver completes a task with; the workflow's step `decide` gives its schema.
type Resolution struct {
	// Action is refund, replace or answer.
	Action string `json:"action"`
	// Amount to refund in dollars; 0 with other actions.
	Amount float64 `json:"amount"`
	// Confidence from 0 to 1.
	Confidence float64 `json:"confidence"`
	// Reply to the customer.
	Reply string `json:"reply"`
	// Reason for colleagues.
	Reason string `json:"reason"`
}

// The actions of a Resolution.
const (
	ActionRefund  = "refund"
	ActionReplace = "replace"
	ActionAnswer  = "answer"
)

// How sure the resolver is.
const (
	sure     = 0.95 // everything it looked for was there
	probable = 0.6  // one thing was missing: somebody should look at it
	lost     = 0.3  // it does not know what is wanted
)

// complaint is the task's arguments.
type complaint struct {
	Message  string `json:"message"`
	Order    order  `json:"order"`
	Customer struct {
		FirstName string `json:"first_name"`
	} `json:"customer"`
}

type order struct {
	ID       string    `json:"order_id"`
	Status   string    `json:"status"`
	Items    []item    `json:"items"`
	Payments []payment `json:"payment_history"`
}

type item struct {
	Name      string  `json:"name"`
	ProductID string  `json:"product_id"`
	ItemID    string  `json:"item_id"`
	Price     float64 `json:"price"`
}

type payment struct {
	Type   string  `json:"transaction_type"`
	Amount float64 `json:"amount"`
}

// kind of a complaint.
type kind string

const (
	damaged  kind = "arrived damaged"
	missing  kind = "was missing"
	astray   kind = "never arrived"
	late     kind = "came late"
	question kind = "a question"
	unclear  kind = "not understood"
)

// signs by which a kind is told; the first kind that has one of its words counts.
var signs = []struct {
	kind  kind
	words []string
}{
	{astray, []string{"never arrived", "not arrived", "did not arrive", "no sign of"}},
	{damaged, []string{"broken", "damaged", "cracked", "torn", "dented"}},
	{missing, []string{"missing", "incomplete", "was not in the box"}},
	{late, []string{" late", "weeks after"}},
	{question, []string{"when ", "where is", "how does"}},
}

func classify(message string) kind {
	text := strings.ToLower(message)
	for _, w := range signs {
		for _, word := range w.words {
			if strings.Contains(text, word) {
				return w.kind
			}
		}
	}
	return unclear
}

// Work implements Mind.
func (Resolver) Work(ctx context.Context, task agent.Task, tools *agent.Tools) (any, error) {
	var c complaint
	if err := json.Unmarshal(task.Arguments, &c); err != nil {
		return nil, fmt.Errorf("the task's arguments: %w", err)
	}
	k := classify(c.Message)
	covered, err := policyCovers(ctx, tools, k)
	if err != nil {
		return nil, err
	}
	r, err := c.resolve(ctx, tools, k)
	if err != nil {
		return nil, err
	}
	if !covered && r.Action != ActionAnswer {
		r.Confidence = min(r.Confidence, probable)
		r.Reason += "; the policy has no word on it"
	}
	r.Reply = fmt.Sprintf("Dear %s, %s", c.Customer.FirstName, r.Reply)
	return r, nil
}

// policyCovers asks the policy about a kind of complaint.
func policyCovers(ctx context.Context, tools *agent.Tools, k kind) (bool, error) {
	answer, err := tools.Call(ctx, "desk/search_policy", map[string]any{"query": "goods " + string(k) + " refund without a return", "limit": 3})
	if err != nil || answer.IsError {
		return false, err
	}
	var found struct {
		Items []struct {
			Title string `json:"title"`
			Text  string `json:"text"`
		} `json:"items"`
	}
	if err := json.Unmarshal(answer.Output, &found); err != nil {
		return false, fmt.Errorf("search_policy: %w", err)
	}
	for _, passage := range found.Items {
		if strings.Contains(strings.ToLower(passage.Title+" "+passage.Text), "refund") {
			return true, nil
		}
	}
	return false, nil
}

func (c *complaint) resolve(ctx context.Context, tools *agent.Tools, k kind) (Resolution, error) {
	o := c.Order
	switch {
	case k == question:
		return Resolution{Action: ActionAnswer, Confidence: sure, Reply: fmt.Sprintf("your order %s is %s.", o.ID, o.Status), Reason: "asked how the order stands"}, nil
	case k == unclear:
		return Resolution{Action: ActionAnswer, Confidence: lost, Reply: "a colleague will write to you.", Reason: "the message is about something no rule covers"}, nil
	case o.paid() <= 0:
		return Resolution{Action: ActionAnswer, Confidence: lost, Reply: "a colleague will look at your payments.", Reason: "nothing is paid for this order any more"}, nil
	case o.Status == "pending" && k != late:
		return Resolution{Action: ActionAnswer, Confidence: lost, Reply: "a colleague will look at your order.", Reason: "the order has not left the store"}, nil
	}
	switch k {
	case astray:
		return o.refund(o.paid(), sure, "the parcel "+string(k)), nil
	case late:
		return o.refund(o.paid()/10, sure, "the parcel "+string(k)+": a tenth of the price for the trouble"), nil
	}
	it := o.named(c.Message)
	if it == nil {
		return o.refund(o.paid(), probable, "goods of the order "+strings.TrimPrefix(string(k), "was ")+", and the message does not say which"), nil
	}
	what := fmt.Sprintf("the %s %s", it.Name, k)
	if strings.Contains(strings.ToLower(c.Message), "another one") {
		inStock, err := available(ctx, tools, *it)
		if err != nil {
			return Resolution{}, err
		}
		if inStock {
			return Resolution{Action: ActionReplace, Confidence: sure, Reply: fmt.Sprintf("another %s is on its way to you.", it.Name), Reason: what + ", and there is another"}, nil
		}
		what += ", and there is no other"
	}
	return o.refund(it.Price, sure, what), nil
}

// refund proposes to give back so much, and never more than is paid.
func (o order) refund(amount, confidence float64, why string) Resolution {
	amount = math.Round(min(amount, o.paid())*100) / 100
	return Resolution{
		Action: ActionRefund, Amount: amount, Confidence: confidence, Reason: why,
		Reply: fmt.Sprintf("we are sorry. We give you $%.2f back for order %s.", amount, o.ID),
	}
}

// paid is what the shop still has for the order.
func (o order) paid() float64 {
	sum := 0.0
	for _, p := range o.Payments {
		if p.Type == "payment" {
			sum += p.Amount
		} else {
			sum -= p.Amount
		}
	}
	return math.Round(sum*100) / 100
}

// named is the item that a message names; nil when it names none.
func (o order) named(message string) *item {
	text := strings.ToLower(message)
	for i := range o.Items {
		if strings.Contains(text, strings.ToLower(o.Items[i].Name)) {
			return &o.Items[i]
		}
	}
	return nil
}

// available asks whether the shop has another one of an item.
func available(ctx context.Context, tools *agent.Tools, it item) (bool, error) {
	answer, err := tools.Call(ctx, "desk/get_product_details", map[string]any{"product_id": it.ProductID})
	if err != nil || answer.IsError {
		return false, err
	}
	var product struct {
		Variants map[string]struct {
			Available bool `json:"available"`
		} `json:"variants"`
	}
	if err := json.Unmarshal(answer.Output, &product); err != nil {
		return false, fmt.Errorf("get_product_details: %w", err)
	}
	return product.Variants[it.ItemID].Available, nil
}
