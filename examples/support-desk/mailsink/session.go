package mailsink

import (
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"
)

// The limits of a session.
const (
	idleLimit  = time.Minute
	maxMessage = 1 << 20
	maxTo      = 100
)

// session is one SMTP conversation.
type session struct {
	sink *Sink
	conn net.Conn
	text *textproto.Conn
	from string
	to   []string
}

func (s *session) run() {
	defer func() { _ = s.conn.Close() }()
	s.text = textproto.NewConn(s.conn)
	if s.say(220, "mailsink ready") != nil {
		return
	}
	for {
		_ = s.conn.SetDeadline(time.Now().Add(idleLimit)) // a dead connection shows at the next read
		line, err := s.text.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		if end, err := s.obey(strings.ToUpper(verb), rest); end || err != nil {
			return
		}
	}
}

func (s *session) say(code int, line string) error { return s.text.PrintfLine("%d %s", code, line) }

func (s *session) obey(verb, rest string) (end bool, err error) {
	switch verb {
	case "HELO", "EHLO":
		s.from, s.to = "", nil
		return false, s.say(250, "mailsink")
	case "MAIL":
		return false, s.mail(rest)
	case "RCPT":
		return false, s.rcpt(rest)
	case "DATA":
		return false, s.data()
	case "RSET":
		s.from, s.to = "", nil
		return false, s.say(250, "forgotten")
	case "NOOP":
		return false, s.say(250, "ok")
	case "QUIT":
		return true, s.say(221, "bye")
	default:
		return false, s.say(502, "command not known")
	}
}

// address reads "FROM:<a@b> …".
func address(rest, prefix string) (string, bool) {
	if len(rest) < len(prefix) || !strings.EqualFold(rest[:len(prefix)], prefix) {
		return "", false
	}
	open, close := strings.IndexByte(rest, '<'), strings.IndexByte(rest, '>')
	if open < 0 || close < open {
		return "", false
	}
	return rest[open+1 : close], true
}

func (s *session) mail(rest string) error {
	from, ok := address(rest, "FROM:")
	if !ok {
		return s.say(501, "write MAIL FROM:<address>")
	}
	s.from, s.to = "<"+from+">", nil
	return s.say(250, "ok")
}

func (s *session) rcpt(rest string) error {
	to, ok := address(rest, "TO:")
	switch {
	case s.from == "":
		return s.say(503, "MAIL first")
	case !ok || to == "":
		return s.say(501, "write RCPT TO:<address>")
	case len(s.to) >= maxTo:
		return s.say(452, "too many recipients")
	}
	s.to = append(s.to, to)
	return s.say(250, "ok")
}

func (s *session) data() error {
	if len(s.to) == 0 {
		return s.say(503, "RCPT first")
	}
	if err := s.say(354, "end with a line of one dot"); err != nil {
		return err
	}
	dots := s.text.DotReader()
	raw, err := io.ReadAll(io.LimitReader(dots, maxMessage+1))
	if err != nil {
		return err
	}
	to := s.to
	s.from, s.to = "", nil
	if len(raw) > maxMessage {
		if _, err := io.Copy(io.Discard, dots); err != nil {
			return err
		}
		return s.say(552, "message too large")
	}
	if err := s.sink.take(to, string(raw)); err != nil {
		return s.say(554, "not a message: "+strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return s.say(250, "accepted")
}
