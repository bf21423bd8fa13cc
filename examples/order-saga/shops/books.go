// Package shops is the four services of the order saga, each an MCP server of its own over its own book: inventory, payment, shipping and
// notification. The books say what really happened, whatever anybody was told.
package shops

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Books are what the four services know. All methods may be called concurrently.
type Books struct {
	mu sync.Mutex
	// stock is what is free of each item; reserved, picked, charged, booked and told are by order.
	stock    map[string]int
	reserved map[string]int
	item     map[string]string
	picked   map[string]bool
	charges  map[string]int // by key
	charged  map[string]int // cents, by order
	booked   map[string]string
	told     map[string]int
	// newest is the newest token seen of each item's lock.
	newest map[string]uint64
	// done counts effects, undone counts those taken back, by service/tool.
	done map[string]int
	// wrong is everything that must never happen.
	wrong []string
}

// NewBooks begins with some stock.
func NewBooks(stock map[string]int) *Books {
	return &Books{
		stock: maps.Clone(stock), reserved: map[string]int{}, item: map[string]string{}, picked: map[string]bool{}, charges: map[string]int{},
		charged: map[string]int{}, booked: map[string]string{}, told: map[string]int{}, newest: map[string]uint64{}, done: map[string]int{},
	}
}

func (b *Books) count(tool string) { b.done[tool]++ }

func (b *Books) fault(format string, args ...any) {
	b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
}

// Reserve takes items for an order. A call with an older token than one seen before comes from somebody who has lost the lock.
func (b *Books) Reserve(order, item string, quantity int, token uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if token < b.newest[item] {
		return fmt.Errorf("the token of %s is older than one seen before: the lock is lost", item)
	}
	b.newest[item] = token
	if b.reserved[order] > 0 {
		b.fault("stock for %s was reserved twice", order)
	}
	if b.stock[item] < quantity {
		return fmt.Errorf("only %d of %s are left", b.stock[item], item)
	}
	b.stock[item] -= quantity
	b.reserved[order], b.item[order] = b.reserved[order]+quantity, item
	b.count("inventory/reserve")
	return nil
}

// Reserved is how many items are held for an order.
func (b *Books) Reserved(order string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reserved[order]
}

// Release gives what is reserved back; again, it does nothing more.
func (b *Books) Release(order string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.reserved[order]; n > 0 {
		b.stock[b.item[order]] += n
		delete(b.reserved, order)
		b.count("inventory/release")
	}
}

// Pick takes what is reserved off the shelf, and PutBack puts it back; again, they do nothing more.
func (b *Books) Pick(order string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reserved[order] == 0 {
		return fmt.Errorf("nothing is reserved for %s", order)
	}
	if !b.picked[order] {
		b.picked[order] = true
		b.count("inventory/pick")
	}
	return nil
}

// PutBack undoes Pick.
func (b *Books) PutBack(order string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.picked[order] {
		delete(b.picked, order)
		b.count("inventory/put_back")
	}
}

// Charge takes money once a key.
func (b *Books) Charge(order, key string, cents int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := "ch-" + order
	if b.charges[key] > 0 {
		return id
	}
	if b.charged[order] > 0 {
		b.fault("%s was charged twice", order)
	}
	b.charges[key] = cents
	b.charged[order] += cents
	b.count("payment/charge")
	return id
}

// Refund gives the money of a charge back; again, it does nothing more.
func (b *Books) Refund(charge string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	order := charge[len("ch-"):]
	if b.charged[order] > 0 {
		delete(b.charged, order)
		b.count("payment/refund")
	}
}

// Book books a parcel. Called twice it books two, which is wrong.
func (b *Books) Book(order string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.booked[order] != "" {
		b.fault("a parcel for %s was booked twice", order)
	}
	b.booked[order] = "T-" + order
	b.count("shipping/book")
	return b.booked[order]
}

// Tracking is the number of an order's parcel; empty: none is booked.
func (b *Books) Tracking(order string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.booked[order]
}

// CancelParcel takes a parcel back; again, it does nothing more.
func (b *Books) CancelParcel(tracking string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if order := tracking[len("T-"):]; b.booked[order] != "" {
		delete(b.booked, order)
		b.count("shipping/cancel")
	}
}

// Tell sends a message to a customer.
func (b *Books) Tell(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told[text]++
	if b.told[text] > 1 {
		b.fault("a customer was told twice: %s", text)
	}
	b.count("notification/send")
}

// Told reports whether a message was sent.
func (b *Books) Told(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.told[text] > 0
}

// Place is how an order stands in all four books.
type Place struct {
	// Reserved, Picked, Charged and Booked tell what stands of it.
	Reserved, Picked, Charged, Booked bool
}

// Whole tells that all of it stands, Nothing that nothing does.
func (p Place) Whole() bool { return p.Reserved && p.Picked && p.Charged && p.Booked }

// Nothing tells that nothing of it stands.
func (p Place) Nothing() bool { return p == Place{} }

// Order tells how an order stands.
func (b *Books) Order(order string) Place {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Place{Reserved: b.reserved[order] > 0, Picked: b.picked[order], Charged: b.charged[order] > 0, Booked: b.booked[order] != ""}
}

// Wrong lists what must never have happened.
func (b *Books) Wrong() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.wrong)
}

// Done tells how often each tool had an effect.
func (b *Books) Done() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.done)
}
