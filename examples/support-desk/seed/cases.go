package seed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

// Write makes the sample shop of a seed in dir: users.json, orders.json, products.json, policy.md, and
// cases for it in tasks.jsonl, one a customer, all listed in disjoint.json. Results and end states
// of the cases are recorded by carrying them out, each on a fresh shop. dir is made when absent.
func Write(dir string, seed uint64) error {
	data, err := Data(seed)
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	tasks, ids, err := cases(data, seed)
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	for name, v := range map[string]any{"users.json": data.Users, "orders.json": data.Orders, "products.json": data.Products, "disjoint.json": ids} {
		body, err := json.MarshalIndent(v, "", " ")
		if err != nil {
			return fmt.Errorf("seed: %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(body, '\n'), 0o644); err != nil {
			return fmt.Errorf("seed: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "policy.md"), []byte(data.Policy), 0o644); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tasks.jsonl"), tasks, 0o644); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	return nil
}

func sortedIDs(p *shop.Product) []string { return slices.Sorted(maps.Keys(p.Variants)) }

// step is a call of a case with what it gave.
type step struct {
	Tool      string          `json:"tool"`
	Arguments any             `json:"arguments"`
	Result    json.RawMessage `json:"result"`
}

// task is a line of tasks.jsonl.
type task struct {
	ID      string      `json:"id"`
	UserID  string      `json:"user_id"`
	Request string      `json:"request"`
	Calls   []step      `json:"calls"`
	Answers []string    `json:"answers"`
	Final   check.State `json:"final"`
}

// recorder carries cases out on a shop of its own.
type recorder struct {
	rand  *rand.Rand
	shop  *shop.Shop
	file  *check.File
	start check.State
	goods map[string]*shop.Product
}

// cases makes one case for every customer.
func cases(data shop.Data, seed uint64) (lines []byte, ids []string, err error) {
	tmp, err := os.MkdirTemp("", "support-desk-seed-")
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	path := filepath.Join(tmp, "shop.db")
	s, err := shop.Open(shop.Config{Path: path})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Load(data); err != nil {
		return nil, nil, err
	}
	file, err := check.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r := &recorder{rand: rand.New(rand.NewPCG(seed, 0x6361_7365_735f_5f5f)), shop: s, file: file, goods: map[string]*shop.Product{}}
	if r.start, err = file.Start(); err != nil {
		return nil, nil, err
	}
	for id, doc := range data.Products.Docs {
		var p shop.Product
		if err := json.Unmarshal(doc, &p); err != nil {
			return nil, nil, err
		}
		r.goods[id] = &p
	}
	for i, id := range data.Users.IDs {
		t, err := r.record(fmt.Sprintf("sample-%03d", i), id, data)
		if err != nil {
			return nil, nil, fmt.Errorf("case of %s: %w", id, err)
		}
		line, err := json.Marshal(t)
		if err != nil {
			return nil, nil, err
		}
		lines = append(append(lines, line...), '\n')
		ids = append(ids, t.ID)
	}
	return lines, ids, nil
}

// record plays one customer: they are found, their orders looked at, and each changed if it can be.
func (r *recorder) record(id, userID string, data shop.Data) (task, error) {
	if err := r.shop.Reset(); err != nil {
		return task{}, err
	}
	var u shop.User
	if err := json.Unmarshal(data.Users.Docs[userID], &u); err != nil {
		return task{}, err
	}
	t := task{ID: id, UserID: userID, Answers: []string{}}
	t.Request = fmt.Sprintf("You are %s %s, zip code %s.", u.Name.FirstName, u.Name.LastName, u.Address.Zip)
	if r.rand.IntN(2) == 0 {
		t.Calls = append(t.Calls, step{Tool: "find_user_id_by_email", Arguments: map[string]any{"email": u.Email}})
	} else {
		t.Calls = append(t.Calls, step{Tool: "find_user_id_by_name_zip", Arguments: map[string]any{
			"first_name": u.Name.FirstName, "last_name": u.Name.LastName, "zip": u.Address.Zip}})
	}
	t.Calls = append(t.Calls, step{Tool: "get_user_details", Arguments: map[string]any{"user_id": userID}})
	for _, orderID := range u.Orders {
		var o shop.Order
		if err := json.Unmarshal(data.Orders.Docs[orderID], &o); err != nil {
			return task{}, err
		}
		t.Calls = append(t.Calls, step{Tool: "get_order_details", Arguments: map[string]any{"order_id": orderID}})
		wish, calls := r.wish(o, u)
		t.Request += " " + wish
		t.Calls = append(t.Calls, calls...)
	}
	return t, r.play(&t)
}

// play carries the calls out, keeps what they gave, and drops those that the shop refused: a customer is
// told no before a call is made.
func (r *recorder) play(t *task) error {
	kept := t.Calls[:0]
	for _, c := range t.Calls {
		args, err := json.Marshal(c.Arguments)
		if err != nil {
			return err
		}
		result, err := r.shop.Call(context.Background(), c.Tool, args, shop.Caller{})
		if _, no := shop.AsRefusal(err); no {
			continue
		}
		if err != nil {
			return err
		}
		c.Result = check.Value(result.Text)
		kept = append(kept, c)
	}
	t.Calls = kept
	end, err := r.file.Current()
	if err != nil {
		return err
	}
	t.Final = check.Diff(r.start, end)
	return nil
}

// wish is what the customer wants of an order, in words and in calls.
func (r *recorder) wish(o shop.Order, u shop.User) (string, []step) {
	method := o.PaymentHistory[0].PaymentMethodID
	switch o.Status {
	case "pending":
		return r.wishPending(o, u, method)
	case "delivered":
		item := o.Items[r.rand.IntN(len(o.Items))]
		if r.rand.IntN(2) == 0 {
			return fmt.Sprintf("The %s of order %s does not suit you and you want to return it.", item.Name, o.OrderID),
				[]step{{Tool: "return_delivered_order_items", Arguments: map[string]any{"order_id": o.OrderID, "item_ids": []string{item.ItemID}, "payment_method_id": method}}}
		}
		return r.swap(o, item, "exchange_delivered_order_items", method)
	default:
		return fmt.Sprintf("You would like to know how order %s stands.", o.OrderID), nil
	}
}

func (r *recorder) wishPending(o shop.Order, u shop.User, method string) (string, []step) {
	switch r.rand.IntN(4) {
	case 0:
		return fmt.Sprintf("You ordered %s by mistake and want it cancelled.", o.OrderID),
			[]step{{Tool: "cancel_pending_order", Arguments: map[string]any{"order_id": o.OrderID, "reason": "ordered by mistake"}}}
	case 1:
		a := u.Address
		return fmt.Sprintf("Order %s should go to your neighbours in Flat 7.", o.OrderID),
			[]step{{Tool: "modify_pending_order_address", Arguments: map[string]any{"order_id": o.OrderID, "address1": a.Address1, "address2": "Flat 7",
				"city": a.City, "state": a.State, "country": a.Country, "zip": a.Zip}}}
	case 2:
		for _, other := range slices.Sorted(maps.Keys(u.PaymentMethods)) {
			if other != method {
				return fmt.Sprintf("You want to pay order %s by %s instead.", o.OrderID, u.PaymentMethods[other].Source),
					[]step{{Tool: "modify_pending_order_payment", Arguments: map[string]any{"order_id": o.OrderID, "payment_method_id": other}}}
			}
		}
	}
	return r.swap(o, o.Items[r.rand.IntN(len(o.Items))], "modify_pending_order_items", method)
}

// plainWords turns options into what a customer would say.
var plainWords = strings.NewReplacer("{", "", "}", "", `"`, "", ":", " ", ",", ", ")

// swap wants another item of the same product.
func (r *recorder) swap(o shop.Order, item *shop.Item, tool, method string) (string, []step) {
	p := r.goods[item.ProductID]
	for _, id := range sortedIDs(p) {
		if v := p.Variants[id]; v.Available && id != item.ItemID {
			return fmt.Sprintf("You would rather have the %s of order %s as %s.", item.Name, o.OrderID, plainWords.Replace(string(v.Options))), []step{
				{Tool: "get_product_details", Arguments: map[string]any{"product_id": item.ProductID}},
				{Tool: "calculate", Arguments: map[string]any{"expression": fmt.Sprintf("%.2f - %.2f", v.Price, item.Price)}},
				{Tool: tool, Arguments: map[string]any{"order_id": o.OrderID, "item_ids": []string{item.ItemID}, "new_item_ids": []string{id}, "payment_method_id": method}},
			}
		}
	}
	return fmt.Sprintf("You would like to know how order %s stands.", o.OrderID), nil
}
