package shop_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// corner is the smallest shop that has every kind of thing.
const corner = `{
 "users": {
  "ada_moss_1": {"name": {"first_name": "Ada", "last_name": "Moss"}, "email": "Ada@example.net",
   "address": {"address1": "1 Quay Road", "address2": "", "city": "Boise", "country": "USA", "state": "ID", "zip": "83702"},
   "payment_methods": {"gift_card_1": {"source": "gift_card", "balance": 10, "id": "gift_card_1"},
    "credit_card_1": {"source": "credit_card", "brand": "visa", "last_four": "0001", "id": "credit_card_1"}},
   "orders": ["#W1", "#W2"]}},
 "orders": {
  "#W1": {"order_id": "#W1", "user_id": "ada_moss_1", "status": "delivered", "fulfillments": [],
   "address": {"address1": "1 Quay Road", "address2": "", "city": "Boise", "country": "USA", "state": "ID", "zip": "83702"},
   "items": [{"name": "Kettle", "product_id": "p1", "item_id": "i1", "price": 40.5, "options": {"colour": "blue"}}],
   "payment_history": [{"transaction_type": "payment", "amount": 40.5, "payment_method_id": "gift_card_1"}]},
  "#W2": {"order_id": "#W2", "user_id": "ada_moss_1", "status": "pending", "fulfillments": [],
   "address": {"address1": "1 Quay Road", "address2": "", "city": "Boise", "country": "USA", "state": "ID", "zip": "83702"},
   "items": [{"name": "Kettle", "product_id": "p1", "item_id": "i2", "price": 50, "options": {"colour": "red"}}],
   "payment_history": [{"transaction_type": "payment", "amount": 50, "payment_method_id": "credit_card_1"}]}},
 "products": {"p1": {"name": "Kettle", "product_id": "p1", "variants": {
   "i1": {"item_id": "i1", "options": {"colour": "blue"}, "available": true, "price": 40.5},
   "i2": {"item_id": "i2", "options": {"colour": "red"}, "available": true, "price": 50}}}}}`

const cornerPolicy = `# Policy
## Refunds
- A refund to a gift card is there at once.
- A refund to a bank takes
  five days.
## Returns
Send goods back
within a month.
`

// outbox is a Mailer that keeps what it is given, or fails.
type outbox struct {
	mu    sync.Mutex
	mails []shop.Mail
	fail  error
}

func (o *outbox) Send(_ context.Context, m shop.Mail) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		return o.fail
	}
	o.mails = append(o.mails, m)
	return nil
}

func cornerData(t *testing.T) shop.Data {
	t.Helper()
	var in struct{ Users, Orders, Products shop.Documents }
	if err := json.Unmarshal([]byte(corner), &in); err != nil {
		t.Fatal(err)
	}
	return shop.Data{Users: in.Users, Orders: in.Orders, Products: in.Products, Policy: cornerPolicy}
}

func cornerShop(t *testing.T) (*shop.Shop, *check.File, *outbox) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.db")
	box := &outbox{}
	s := open(t, shop.Config{Path: path, Mailer: box, Now: func() time.Time { return time.Unix(1e9, 0) }})
	if err := s.Load(cornerData(t)); err != nil {
		t.Fatal(err)
	}
	file, err := check.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return s, file, box
}

// says makes calls in turn and compares each answer with the text wanted.
func says(t *testing.T, s *shop.Shop, turns ...[3]string) {
	t.Helper()
	for i, turn := range turns {
		if got := answer(t, s, turn[0], turn[1], shop.Caller{}); got != turn[2] {
			t.Errorf("call %d %s(%s)\n got %s\nwant %s", i, turn[0], turn[1], got, turn[2])
		}
	}
}

func changed(t *testing.T, f *check.File) check.State {
	t.Helper()
	before, err := f.Start()
	if err != nil {
		t.Fatal(err)
	}
	after, err := f.Current()
	if err != nil {
		t.Fatal(err)
	}
	return check.Diff(before, after)
}

func effects(t *testing.T, f *check.File) int {
	t.Helper()
	entries, err := f.Journal()
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestARefundIsMadeOncePerKeyAndUndoneWithoutATrace(t *testing.T) {
	s, file, _ := cornerShop(t)
	const issued = `{"refund_id":"refund_8254c329a92850f6","order_id":"#W1","amount":20.25,"payment_method_id":"gift_card_1","status":"issued"}`
	cancelled := strings.Replace(issued, "issued", "cancelled", 1)
	says(t, s,
		[3]string{"find_refund", `{"key": "k"}`, `{"found":false}`},
		[3]string{"create_refund", `{"order_id": "#W1", "amount": 20.25, "key": "k"}`, issued},
		[3]string{"create_refund", `{"order_id": "#W1", "amount": 20.25, "key": "k"}`, issued},
		[3]string{"create_refund", `{"order_id": "#W1", "amount": 20, "key": "k"}`, `"Error: key \"k\" was used for another refund"`},
		[3]string{"create_refund", `{"order_id": "#W1", "amount": 20.26, "key": "l"}`, `"Error: the refund is more than the 20.25 that is still paid for the order"`},
		[3]string{"find_refund", `{"key": "k"}`, `{"found":true,` + issued[1:]},
	)
	if got := string(changed(t, file).Users["ada_moss_1"]); !strings.Contains(got, `"balance":30.25`) {
		t.Errorf("the gift card does not have the money: %s", got)
	}
	says(t, s,
		[3]string{"cancel_refund", `{"refund_id": "refund_8254c329a92850f6"}`, cancelled},
		[3]string{"cancel_refund", `{"refund_id": "refund_8254c329a92850f6"}`, cancelled},
		[3]string{"cancel_refund", `{"refund_id": "refund_0"}`, `"Error: refund not found"`},
		[3]string{"create_refund", `{"order_id": "#W0", "amount": 1, "key": "m"}`, `"Error: order not found"`},
		[3]string{"create_refund", `{"order_id": "#W1", "amount": 0, "key": "m"}`, `"Error: amount must be at least 0.01 and at most 10000000 dollars"`},
	)
	if left := changed(t, file); left.Len() != 0 {
		t.Errorf("the undone refund left %v", left)
	}
	if n := effects(t, file); n != 2 {
		t.Errorf("%d effects, want 2: made and undone", n)
	}
}

func TestARefundThatWasSpentCannotBeTakenBack(t *testing.T) {
	s, file, _ := cornerShop(t)
	answer(t, s, "create_refund", `{"order_id": "#W1", "amount": 40.5, "key": "k"}`, shop.Caller{})
	if got := answer(t, s, "modify_pending_order_payment", `{"order_id": "#W2", "payment_method_id": "gift_card_1"}`, shop.Caller{}); strings.HasPrefix(got, `"Error`) {
		t.Fatal(got)
	}
	says(t, s, [3]string{"cancel_refund", `{"refund_id": "refund_8254c329a92850f6"}`, `"Error: the refund was already spent from the gift card"`})
	if n := effects(t, file); n != 2 {
		t.Errorf("%d effects, want 2", n)
	}
}

func TestANoteIsDeduplicatedOnlyByItsKey(t *testing.T) {
	s, file, _ := cornerShop(t)
	says(t, s,
		[3]string{"add_note", `{"user_id": "ada_moss_1", "text": "called"}`, `{"note_id":"note_1","user_id":"ada_moss_1"}`},
		[3]string{"add_note", `{"user_id": "ada_moss_1", "text": "called"}`, `{"note_id":"note_2","user_id":"ada_moss_1"}`},
		[3]string{"add_note", `{"user_id": "ada_moss_1", "text": "called", "key": "k"}`, `{"note_id":"note_3","user_id":"ada_moss_1"}`},
		[3]string{"add_note", `{"user_id": "ada_moss_1", "text": "called", "key": "k"}`, `{"note_id":"note_3","user_id":"ada_moss_1"}`},
		[3]string{"add_note", `{"user_id": "ada_moss_1", "text": "wrote", "key": "k"}`, `"Error: key \"k\" was used for another note"`},
		[3]string{"add_note", `{"user_id": "nobody", "text": "x"}`, `"Error: user not found"`},
		[3]string{"add_note", `{"user_id": "ada_moss_1", "text": " "}`, `"Error: text is empty: write what the note should say"`},
	)
	books, err := file.Books()
	if err != nil {
		t.Fatal(err)
	}
	if len(books.Notes) != 3 || effects(t, file) != 3 {
		t.Errorf("%d notes and %d effects, want 3 of each", len(books.Notes), effects(t, file))
	}
}

func TestACaseStatusIsAnEffectOnlyWhenItChanges(t *testing.T) {
	s, file, _ := cornerShop(t)
	const resolved = `{"order_id":"#W1","status":"resolved"}`
	says(t, s,
		[3]string{"set_case_status", resolved, resolved},
		[3]string{"set_case_status", resolved, resolved},
		[3]string{"set_case_status", `{"order_id": "#W0", "status": "open"}`, `"Error: order not found"`},
	)
	if n := effects(t, file); n != 1 {
		t.Errorf("%d effects, want 1", n)
	}
}

func TestATransferIsNeverDeduplicatedAndCanBeLookedUp(t *testing.T) {
	s, file, _ := cornerShop(t)
	says(t, s,
		[3]string{"transfer_to_human_agents", `{"summary": "lost parcel of #W1"}`, `"Transfer successful"`},
		[3]string{"transfer_to_human_agents", `{"summary": "lost parcel of #W1"}`, `"Transfer successful"`},
		[3]string{"transfer_to_human_agents", `{"summary": "something else"}`, `"Transfer successful"`},
		[3]string{"list_transfers", `{"contains": "#W1", "limit": 1}`, `{"items":[{"transfer_id":"transfer_2","summary":"lost parcel of #W1","created_at":"2001-09-09T01:46:40Z"}]}`},
		[3]string{"list_transfers", `{"contains": "nothing"}`, `{"items":[]}`},
	)
	if n := effects(t, file); n != 3 {
		t.Errorf("%d effects, want 3", n)
	}
}

func TestAConfirmationIsSentOncePerMessageID(t *testing.T) {
	s, file, box := cornerShop(t)
	const sent = `{"address":"Ada@example.net","message_id":"m/1","status":"sent"}`
	box.fail = errors.New("connection refused")
	says(t, s, [3]string{"send_confirmation", `{"user_id": "ada_moss_1", "template": "resolved", "message_id": "m/1"}`, `"Error: the mail was not accepted: connection refused"`})
	if n := effects(t, file); n != 0 {
		t.Errorf("%d effects of a mail that was not accepted", n)
	}
	box.fail = nil
	says(t, s,
		[3]string{"send_confirmation", `{"user_id": "ada_moss_1", "template": "resolved", "message_id": "m/1"}`, sent},
		[3]string{"send_confirmation", `{"user_id": "ada_moss_1", "template": "resolved", "message_id": "m/1"}`, sent},
		[3]string{"send_confirmation", `{"user_id": "ada_moss_1", "template": "closed", "message_id": "m/1"}`, `"Error: message_id \"m/1\" was used for another message"`},
		[3]string{"send_confirmation", `{"user_id": "nobody", "template": "closed", "message_id": "m/2"}`, `"Error: user not found"`},
	)
	if len(box.mails) != 1 || box.mails[0].MessageID != "m/1" || effects(t, file) != 1 {
		t.Errorf("%d mails and %d effects, want 1 of each: %+v", len(box.mails), effects(t, file), box.mails)
	}
}

func TestConcurrentSendsOfOneMessageSendOne(t *testing.T) {
	s, _, box := cornerShop(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := s.Call(context.Background(), "send_confirmation", []byte(`{"user_id": "ada_moss_1", "template": "resolved", "message_id": "m"}`), shop.Caller{})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(box.mails) != 1 {
		t.Errorf("%d mails, want 1", len(box.mails))
	}
}

func TestConcurrentWritesAllCountAndNoneIsLost(t *testing.T) {
	s, file, _ := cornerShop(t)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			args := fmt.Sprintf(`{"order_id": "#W1", "amount": 1.01, "key": "k%d"}`, i)
			if _, err := s.Call(context.Background(), "create_refund", []byte(args), shop.Caller{Operation: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := string(changed(t, file).Users["ada_moss_1"]); !strings.Contains(got, `"balance":26.16`) {
		t.Errorf("sixteen refunds of 1.01 on a balance of 10 gave %s", got)
	}
}

func TestPolicySearchRanksAndIsDeterministic(t *testing.T) {
	s, _, _ := cornerShop(t)
	first := answer(t, s, "search_policy", `{"query": "How are refunds to a BANK paid?", "limit": 2}`, shop.Caller{})
	var out struct{ Items []shop.Passage }
	if err := json.Unmarshal([]byte(first), &out); err != nil {
		t.Fatal(err)
	}
	if len(out.Items) != 2 || out.Items[0].Text != "A refund to a bank takes five days." || out.Items[0].Title != "Policy > Refunds" {
		t.Errorf("got %+v", out.Items)
	}
	for range 20 {
		if again := answer(t, s, "search_policy", `{"query": "How are refunds to a BANK paid?", "limit": 2}`, shop.Caller{}); again != first {
			t.Fatalf("two searches differ:\n%s\n%s", first, again)
		}
	}
	says(t, s,
		[3]string{"search_policy", `{"query": "zebra"}`, `{"items":[]}`},
		[3]string{"search_policy", `{"query": " "}`, `"Error: query is empty: say what to look for"`},
	)
}

func TestAPlainStringComesBackAsTheStringItWas(t *testing.T) {
	data := cornerData(t)
	var u json.RawMessage = []byte(strings.Replace(string(data.Users.Docs["ada_moss_1"]), "Ada@example.net", "one@example.net", 1))
	data.Users.Add("1234", u) // an id that reads as a number
	s := open(t, shop.Config{Path: filepath.Join(t.TempDir(), "shop.db")})
	if err := s.Load(data); err != nil {
		t.Fatal(err)
	}
	says(t, s,
		[3]string{"find_user_id_by_email", `{"email": "ONE@example.net"}`, `"1234"`},
		[3]string{"find_user_id_by_email", `{"email": "ada@EXAMPLE.net"}`, `"ada_moss_1"`},
		[3]string{"think", `{"thought": "hm"}`, `""`},
		[3]string{"calculate", `{"expression": "40 + 2"}`, `42.0`},
	)
}

func TestTheJournalSaysWhoseEffectItWas(t *testing.T) {
	s, file, _ := cornerShop(t)
	by := shop.Caller{Key: "r/s/0", Operation: "op", Attempt: "3"}
	answer(t, s, "create_refund", `{"order_id": "#W1", "amount": 1, "key": "k"}`, by)
	answer(t, s, "create_refund", `{ "key": "l", "amount": 1, "order_id": "#W1" }`, by)
	answer(t, s, "get_order_details", `{"order_id": "#W1"}`, by)
	entries, err := file.Journal()
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Fatalf("%d entries, want 2", len(entries))
	}
	e := entries[0]
	if e.Key != by.Key || e.Operation != by.Operation || e.Attempt != by.Attempt || e.ArgumentKey != "k" || e.Subject != "#W1" || e.Time != "2001-09-09T01:46:40Z" || len(e.ArgumentsDigest) != 64 {
		t.Errorf("got %+v", e)
	}
	if d := check.Duplicates(entries); len(d) != 1 || d[0].Operation != "op" || len(d[0].Entries) != 2 {
		t.Errorf("duplicates %v, want op twice", d)
	}
}

func TestAResetForgetsAllButTheStart(t *testing.T) {
	s, file, _ := cornerShop(t)
	answer(t, s, "create_refund", `{"order_id": "#W1", "amount": 1, "key": "k"}`, shop.Caller{})
	answer(t, s, "cancel_pending_order", `{"order_id": "#W2", "reason": "no longer needed"}`, shop.Caller{})
	if err := s.PutSetting("faults", "[]"); err != nil {
		t.Fatal(err)
	}
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	if left := changed(t, file); left.Len() != 0 || effects(t, file) != 0 {
		t.Errorf("left after a reset: %v, %d effects", left, effects(t, file))
	}
	if _, kept, err := s.Setting("faults"); err != nil || !kept {
		t.Errorf("the fault switches forgot: %v", err)
	}
}

func TestAShopIsThereAgainAfterItWasClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	s, err := shop.Open(shop.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Empty() {
		t.Error("a new shop is not empty")
	}
	if _, err := s.Call(context.Background(), "list_all_product_types", nil, shop.Caller{}); !errors.Is(err, shop.ErrEmpty) {
		t.Errorf("an empty shop answered: %v", err)
	}
	if err := s.Load(cornerData(t)); err != nil {
		t.Fatal(err)
	}
	answer(t, s, "cancel_pending_order", `{"order_id": "#W2", "reason": "no longer needed"}`, shop.Caller{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, shop.Config{Path: path})
	if again.Empty() {
		t.Error("the shop is empty after it was opened again")
	}
	says(t, again,
		[3]string{"cancel_pending_order", `{"order_id": "#W2", "reason": "no longer needed"}`, `"Error: non-pending order cannot be cancelled"`},
		[3]string{"list_all_product_types", ``, `{"Kettle":"p1"}`},
	)
}

func TestDataThatDoesNotFitTogetherIsRefusedWhole(t *testing.T) {
	for name, c := range map[string]struct {
		from, to, says string
	}{
		"order of nobody": {`"user_id": "ada_moss_1", "status": "delivered"`, `"user_id": "bob", "status": "delivered"`, `"bob" is no user`},
		"unknown field":   {`"status": "pending"`, `"status": "pending", "colour": "red"`, "colour"},
		"wrong type":      {`"price": 50`, `"price": "50"`, "price"},
	} {
		t.Run(name, func(t *testing.T) {
			s, file, _ := cornerShop(t)
			bad := cornerData(t)
			for _, docs := range []shop.Documents{bad.Users, bad.Orders, bad.Products} {
				for id, doc := range docs.Docs {
					docs.Docs[id] = []byte(strings.ReplaceAll(string(doc), c.from, c.to))
				}
			}
			if err := s.Load(bad); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want an error that says %q", err, c.says)
			}
			if now, err := file.Current(); err != nil || len(now.Orders) != 2 {
				t.Errorf("the shop lost what it had: %v %v", now, err)
			}
		})
	}
}

func TestAnUnknownToolIsNoRefusal(t *testing.T) {
	s, _, _ := cornerShop(t)
	if _, err := s.Call(context.Background(), "sell_shop", nil, shop.Caller{}); !errors.Is(err, shop.ErrUnknownTool) {
		t.Errorf("got %v", err)
	}
}
