package mailer_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/support-desk/mailer"
	"github.com/signalbox-dev/signalbox/examples/support-desk/mailsink"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAMailArrivesAsItWasWritten(t *testing.T) {
	var shown bytes.Buffer
	sink, err := mailsink.Start("127.0.0.1:0", &shown)
	if err != nil {
		t.Fatal(err)
	}
	m := shop.Mail{
		MessageID: "run 1/<x>", To: "ada@example.net", Name: "Ada Möss", Subject: "Größe = 5\r\nBcc: all@example.net",
		Body: "Hello,\n.\n..dots = signs, ü and a line that is much longer than the seventy-six characters that a line may have\n",
	}
	send := mailer.SMTP{Addr: sink.Addr()}
	for range 2 {
		if err := send.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	mails := sink.Mails()
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	if len(mails) != 1 || mails[0].Deliveries != 2 {
		t.Fatalf("got %d mails, want one delivered twice", len(mails))
	}
	got := mails[0]
	if got.Body != m.Body || got.Subject != m.Subject || got.To[0] != m.To {
		t.Errorf("got %+v", got)
	}
	if strings.Contains(got.Raw, "\nBcc:") {
		t.Error("a subject made a header of its own")
	}
	if got.MessageID != "<run%201/%3Cx%3E@support-desk.example>" {
		t.Errorf("Message-ID %s", got.MessageID)
	}
	if n := strings.Count(shown.String(), "mail to ada@example.net"); n != 1 {
		t.Errorf("the mail was shown %d times", n)
	}
}

func TestMessageIDsStayApart(t *testing.T) {
	seen := map[string]string{}
	for _, id := range []string{"a", "a b", "a%20b", ".a", "a.", "a..b", "a.b", "ä", "run-1/s.t/0"} {
		header := mailer.MessageID(id)
		if other, twice := seen[header]; twice {
			t.Errorf("%q and %q both give %s", id, other, header)
		}
		seen[header] = id
		if strings.ContainsAny(header, " \r\n") {
			t.Errorf("%q gives %q", id, header)
		}
	}
}

func TestAServerThatDoesNotAnswerIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	m := shop.Mail{MessageID: "m", To: "ada@example.net"}
	ctx, cancel := context.WithCancel(t.Context())
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			accepted <- conn
		}
		cancel()
	}()
	if err := (mailer.SMTP{Addr: l.Addr().String(), Timeout: time.Minute}).Send(ctx, m); err == nil {
		t.Error("a silent server took the mail")
	}
	_ = (<-accepted).Close()
}

func TestAnAddressThatIsNoneIsRefused(t *testing.T) {
	err := (mailer.SMTP{Addr: "127.0.0.1:1"}).Send(t.Context(), shop.Mail{To: "ada\r\nRCPT TO:<x@y>"})
	var op *net.OpError
	if err == nil || errors.As(err, &op) {
		t.Errorf("got %v, want a refusal before any connection", err)
	}
}
