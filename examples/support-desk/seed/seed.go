// Package seed makes the sample shop: customers, orders, products, policy and cases, all drawn from one
// seed number, in the folder shape that the desk's --data takes.
package seed

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

// How much of everything there is.
const (
	userCount     = 40
	ordersPerUser = 3
	mostItems     = 4
)

//go:embed policy.md
var policy string

// maker draws a shop.
type maker struct {
	rand  *rand.Rand
	taken map[string]bool // numbers given to something
	goods []*shop.Product
	data  shop.Data
}

// Data draws a whole shop. The same seed gives the same shop.
func Data(seed uint64) (shop.Data, error) {
	m := &maker{rand: rand.New(rand.NewPCG(seed, 0x5167_6e61_6c62_6f78)), taken: map[string]bool{}}
	m.data.Policy = policy
	for i, k := range kinds {
		if err := m.product(fmt.Sprintf("40000000%02d", i+1), k); err != nil {
			return shop.Data{}, err
		}
	}
	for i := range userCount {
		if err := m.user(i); err != nil {
			return shop.Data{}, err
		}
	}
	return m.data, nil
}

// number gives a number of so many digits that nothing else has.
func (m *maker) number(digits int) string {
	for {
		b := make([]byte, digits)
		for i := range b {
			b[i] = byte('0' + m.rand.IntN(10))
		}
		if s := string(b); b[0] != '0' && !m.taken[s] {
			m.taken[s] = true
			return s
		}
	}
}

func pick[T any](m *maker, from []T) T { return from[m.rand.IntN(len(from))] }

// chance is true in so many of a hundred cases.
func (m *maker) chance(percent int) bool { return m.rand.IntN(100) < percent }

func add(to *shop.Documents, id string, v any) error {
	doc, err := json.Marshal(v)
	if err != nil {
		return err
	}
	to.Add(id, doc)
	return nil
}

// product makes an item of every combination of the options, leaving some out.
func (m *maker) product(id string, k kind) error {
	p := &shop.Product{Name: k.name, ProductID: id, Variants: map[string]*shop.Variant{}}
	combinations := []string{""}
	for _, d := range k.differs {
		var longer []string
		for _, c := range combinations {
			for _, v := range d.values {
				longer = append(longer, c+fmt.Sprintf(",%q:%q", d.name, v))
			}
		}
		combinations = longer
	}
	for i, c := range combinations {
		if i >= 2 && m.chance(15) {
			continue
		}
		item := m.number(10)
		cents := k.cents * (85 + m.rand.IntN(31)) / 100
		p.Variants[item] = &shop.Variant{
			ItemID: item, Options: json.RawMessage("{" + c[1:] + "}"),
			Available: i < 2 || m.chance(80), Price: float64(cents) / 100,
		}
	}
	m.goods = append(m.goods, p)
	return add(&m.data.Products, id, p)
}

func (m *maker) address() shop.Address {
	t := pick(m, towns)
	a := shop.Address{
		Address1: fmt.Sprintf("%d %s", 1+m.rand.IntN(199), pick(m, streets)),
		City:     t.city, Country: "USA", State: t.state, Zip: fmt.Sprintf("%s%02d", t.zip, m.rand.IntN(100)),
	}
	if m.chance(40) {
		a.Address2 = fmt.Sprintf("Flat %d", 1+m.rand.IntN(40))
	}
	return a
}

// user makes the i-th customer with their orders. No two have the same name.
func (m *maker) user(i int) error {
	first := firstNames[i%len(firstNames)]
	last := lastNames[(i*7+i/len(firstNames))%len(lastNames)]
	number := m.number(4)
	u := shop.User{
		Name:           shop.Name{FirstName: first, LastName: last},
		Address:        m.address(),
		Email:          strings.ToLower(first+"."+last) + number + "@example.net",
		PaymentMethods: map[string]*shop.PaymentMethod{},
	}
	methods := m.methods(&u)
	id := strings.ToLower(first+"_"+last) + "_" + number
	for range ordersPerUser {
		o := m.order(id, u.Address, methods)
		u.Orders = append(u.Orders, o.OrderID)
		if err := add(&m.data.Orders, o.OrderID, o); err != nil {
			return err
		}
	}
	return add(&m.data.Users, id, u)
}

// methods gives the customer two or three ways to pay and lists their ids.
func (m *maker) methods(u *shop.User) []string {
	var ids []string
	give := func(p *shop.PaymentMethod) {
		p.ID = p.Source + "_" + m.number(7)
		u.PaymentMethods[p.ID] = p
		ids = append(ids, p.ID)
	}
	give(&shop.PaymentMethod{Source: "credit_card", Brand: pick(m, []string{"visa", "mastercard"}), LastFour: fmt.Sprintf("%04d", m.rand.IntN(10000))})
	balance := float64(20 + m.rand.IntN(280))
	give(&shop.PaymentMethod{Source: "gift_card", Balance: &balance})
	if m.chance(50) {
		give(&shop.PaymentMethod{Source: "paypal"})
	}
	return ids
}

// statuses with their share of a hundred orders.
var statuses = []struct {
	name  string
	share int
}{{"pending", 45}, {"delivered", 38}, {"processed", 10}, {"cancelled", 7}}

func (m *maker) status() string {
	n := m.rand.IntN(100)
	for _, s := range statuses {
		if n -= s.share; n < 0 {
			return s.name
		}
	}
	return statuses[0].name
}

func (m *maker) order(userID string, to shop.Address, methods []string) shop.Order {
	o := shop.Order{
		OrderID: "#W" + m.number(7), UserID: userID, Address: to,
		Status: m.status(), Fulfillments: json.RawMessage("[]"),
	}
	cents := 0
	var itemIDs []string
	for _, at := range m.rand.Perm(len(m.goods))[:1+m.rand.IntN(mostItems)] {
		p := m.goods[at]
		v := p.Variants[pick(m, sortedIDs(p))]
		o.Items = append(o.Items, &shop.Item{Name: p.Name, ProductID: p.ProductID, ItemID: v.ItemID, Price: v.Price, Options: v.Options})
		itemIDs = append(itemIDs, v.ItemID)
		cents += int(v.Price*100 + 0.5)
	}
	if o.Status == "delivered" || o.Status == "processed" {
		tracking, items := m.number(12), strings.Join(itemIDs, `", "`)
		o.Fulfillments = json.RawMessage(fmt.Sprintf(`[{"tracking_id": [%q], "item_ids": ["%s"]}]`, tracking, items))
	}
	paid := shop.Payment{TransactionType: "payment", Amount: float64(cents) / 100, PaymentMethodID: pick(m, methods)}
	o.PaymentHistory = []shop.Payment{paid}
	if o.Status == "cancelled" {
		paid.TransactionType = "refund"
		o.PaymentHistory = append(o.PaymentHistory, paid)
	}
	return o
}
