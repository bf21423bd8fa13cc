package mailsink_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/support-desk/mailsink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheSinkSpeaksSMTP(t *testing.T) {
	sink, err := mailsink.Start("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sink.Close() }()
	conn, err := net.Dial("tcp", sink.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	reply := func() string {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	reply()
	for _, turn := range []struct{ say, code string }{
		{"EHLO me", "250"},
		{"DATA", "503"},
		{"RCPT TO:<a@example.net>", "503"},
		{"MAIL FROM:a@example.net", "501"},
		{"mail from:<a@example.net> SIZE=10", "250"},
		{"RCPT TO:<>", "501"},
		{"RCPT TO:<b@example.net>", "250"},
		{"VRFY b", "502"},
		{"DATA", "354"},
		{"Subject: x\r\n\r\nno id\r\n.", "554"},
		{"MAIL FROM:<a@example.net>", "250"},
		{"RSET", "250"},
		{"DATA", "503"},
		{"MAIL FROM:<a@example.net>", "250"},
		{"RCPT TO:<b@example.net>", "250"},
		{"RCPT TO:<c@example.net>", "250"},
		{"DATA", "354"},
		{"Message-ID: <1@x>\r\nSubject: hello\r\n\r\n..a dot\r\nend\r\n.", "250"},
		{"NOOP", "250"},
		{"QUIT", "221"},
	} {
		if _, err := fmt.Fprintf(conn, "%s\r\n", turn.say); err != nil {
			t.Fatal(err)
		}
		if got := reply(); !strings.HasPrefix(got, turn.code) {
			t.Fatalf("%q was answered %q, want %s", turn.say, got, turn.code)
		}
	}
	mails := sink.Mails()
	if len(mails) != 1 {
		t.Fatalf("%d mails, want 1", len(mails))
	}
	if m := mails[0]; m.Subject != "hello" || m.Body != ".a dot\nend\n" || len(m.To) != 2 {
		t.Errorf("got %+v", m)
	}
}

func TestTheSinkStaysOnLoopback(t *testing.T) {
	if s, err := mailsink.Start("0.0.0.0:0", nil); err == nil {
		_ = s.Close()
		t.Error("the sink listens to the world")
	}
}

func TestClosingCutsASilentClient(t *testing.T) {
	sink, err := mailsink.Start("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", sink.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Error(err)
	}
}
