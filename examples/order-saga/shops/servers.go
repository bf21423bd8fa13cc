package shops

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Names are the four services, in the order of an order's way.
var Names = []string{"inventory", "payment", "shipping", "notification"}

// Servers are the four MCP servers, each on a port of its own.
type Servers struct {
	books  *Books
	faults *Faults
	urls   map[string]string
	https  []*http.Server
}

// Serve starts the servers on loopback ports.
func Serve(books *Books, faults *Faults) (*Servers, error) {
	s := &Servers{books: books, faults: faults, urls: map[string]string{}}
	for _, name := range Names {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		server := s.server(name)
		handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{JSONResponse: true, Stateless: true})
		h := &http.Server{Handler: faults.around(name, handler), ReadHeaderTimeout: 5 * time.Second, ErrorLog: silent}
		s.https = append(s.https, h)
		s.urls[name] = "http://" + l.Addr().String()
		go func() { _ = h.Serve(l) }() // ends with Close
	}
	return s, nil
}

// Close ends the servers.
func (s *Servers) Close() error {
	var all []error
	for _, h := range s.https {
		all = append(all, h.Close())
	}
	return errors.Join(all...)
}

// Config is what Signalbox has to know of the servers: how to reach them, and what each tool does to the world.
func (s *Servers) Config() string {
	var b strings.Builder
	b.WriteString("servers:\n")
	for _, name := range Names {
		fmt.Fprintf(&b, "  %s:\n    http: {url: %q}\n    tools:\n%s", name, s.urls[name], toolConfig[name])
	}
	return b.String()
}

var toolConfig = map[string]string{
	"inventory": `      reserve: {effect: write, max_duration: 5s, reconcile: {tool: find_reservation, arguments: {order_id: "${self.arguments.order_id}"}, happened: output.quantity > 0}}
      find_reservation: {effect: read}
      release: {effect: idempotent_write, max_duration: 5s}
      pick: {effect: idempotent_write, max_duration: 5s}
      put_back: {effect: idempotent_write, max_duration: 5s}
`,
	"payment": `      assess_risk: {effect: read}
      charge: {effect: write, idempotency_argument: key, max_duration: 5s}
      refund: {effect: idempotent_write, max_duration: 5s}
`,
	"shipping": `      book: {effect: write, max_duration: 5s, reconcile: {tool: find_booking, arguments: {order_id: "${self.arguments.order_id}"}, happened: output.tracking != ''}}
      find_booking: {effect: read}
      cancel: {effect: idempotent_write, max_duration: 5s}
`,
	"notification": `      send: {effect: irreversible, max_duration: 5s}
`,
}

func (s *Servers) server(name string) *mcp.Server {
	m := mcp.NewServer(&mcp.Implementation{Name: name, Version: "1.0.0"}, nil)
	switch name {
	case "inventory":
		s.inventory(m)
	case "payment":
		s.payment(m)
	case "shipping":
		s.shipping(m)
	default:
		s.notification(m)
	}
	return m
}

// tool adds a tool whose schemas follow from its types.
func tool[In, Out any](m *mcp.Server, name, about string, do func(In) (Out, error)) {
	mcp.AddTool(m, &mcp.Tool{Name: name, Description: about}, func(_ context.Context, _ *mcp.CallToolRequest, in In) (*mcp.CallToolResult, Out, error) {
		out, err := do(in)
		return nil, out, err
	})
}

type (
	forOrder struct {
		OrderID string `json:"order_id" jsonschema:"the order"`
	}
	done struct {
		Done bool `json:"done"`
	}
)

func (s *Servers) inventory(m *mcp.Server) {
	type reservation struct {
		OrderID  string `json:"order_id" jsonschema:"the order"`
		Item     string `json:"item" jsonschema:"what it wants"`
		Quantity int    `json:"quantity" jsonschema:"how many"`
		Token    string `json:"token" jsonschema:"fencing token of the item's lock"`
	}
	type found struct {
		Quantity int `json:"quantity"`
	}
	tool(m, "reserve", "Hold items for an order. Calling it twice holds them twice.", func(in reservation) (done, error) {
		return done{true}, s.books.Reserve(in.OrderID, in.Item, in.Quantity, tokenNumber(in.Token))
	})
	tool(m, "find_reservation", "Tell how many items are held for an order.", func(in forOrder) (found, error) {
		return found{s.books.Reserved(in.OrderID)}, nil
	})
	tool(m, "release", "Give back what is held for an order.", func(in forOrder) (done, error) {
		s.books.Release(in.OrderID)
		return done{true}, nil
	})
	tool(m, "pick", "Take an order's items off the shelf.", func(in forOrder) (done, error) { return done{true}, s.books.Pick(in.OrderID) })
	tool(m, "put_back", "Put an order's items back on the shelf.", func(in forOrder) (done, error) {
		s.books.PutBack(in.OrderID)
		return done{true}, nil
	})
}

// tokenNumber is the growing part of a fencing token, "generation.revision" or the like.
func tokenNumber(token string) uint64 {
	n, err := strconv.ParseUint(token[strings.LastIndexAny(token, ".-:/")+1:], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (s *Servers) payment(m *mcp.Server) {
	type question struct {
		Customer    string `json:"customer" jsonschema:"who orders"`
		AmountCents int    `json:"amount_cents" jsonschema:"for how much"`
	}
	type score struct {
		Score int `json:"score"`
	}
	type charge struct {
		OrderID     string `json:"order_id" jsonschema:"the order"`
		Customer    string `json:"customer" jsonschema:"who pays"`
		AmountCents int    `json:"amount_cents" jsonschema:"how much"`
		Key         string `json:"key" jsonschema:"charges with the same key are one"`
	}
	type charged struct {
		ChargeID string `json:"charge_id"`
	}
	tool(m, "assess_risk", "Tell how likely an order is a fraud, from 0 to 100.", func(in question) (score, error) {
		if strings.HasPrefix(in.Customer, "mallory") {
			return score{95}, nil
		}
		return score{5}, nil
	})
	tool(m, "charge", "Charge a customer, once a key.", func(in charge) (charged, error) {
		if strings.HasPrefix(in.Customer, "poor") {
			return charged{}, errors.New("the card is declined")
		}
		return charged{s.books.Charge(in.OrderID, in.Key, in.AmountCents)}, nil
	})
	tool(m, "refund", "Give a charge back.", func(in charged) (done, error) {
		s.books.Refund(in.ChargeID)
		return done{true}, nil
	})
}

func (s *Servers) shipping(m *mcp.Server) {
	type parcel struct {
		OrderID  string `json:"order_id" jsonschema:"the order"`
		Customer string `json:"customer" jsonschema:"where it goes"`
	}
	type tracking struct {
		Tracking string `json:"tracking"`
	}
	tool(m, "book", "Book a parcel. Calling it twice books two.", func(in parcel) (tracking, error) {
		if strings.HasPrefix(in.Customer, "nowhere") {
			return tracking{}, errors.New("there is no such address")
		}
		return tracking{s.books.Book(in.OrderID)}, nil
	})
	tool(m, "find_booking", "Tell the tracking number of an order's parcel; empty: none is booked.", func(in forOrder) (tracking, error) {
		return tracking{s.books.Tracking(in.OrderID)}, nil
	})
	tool(m, "cancel", "Take a parcel back.", func(in tracking) (done, error) {
		s.books.CancelParcel(in.Tracking)
		return done{true}, nil
	})
}

func (s *Servers) notification(m *mcp.Server) {
	type message struct {
		Customer string `json:"customer" jsonschema:"to whom"`
		Text     string `json:"text" jsonschema:"what"`
	}
	tool(m, "send", "Send a message. It cannot be unsent.", func(in message) (done, error) {
		s.books.Tell(in.Text)
		return done{true}, nil
	})
}
