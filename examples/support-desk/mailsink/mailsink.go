// Package mailsink is a small real SMTP server that delivers nowhere: it keeps and shows the mails it is
// given, so that a demonstration can send real mail without sending any.
package mailsink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
)

// Mail is one message the sink accepted.
type Mail struct {
	MessageID  string   // the Message-ID header, with its angle brackets
	From       string   // header
	To         []string // envelope
	Subject    string
	Body       string // decoded, lines ended by \n
	Raw        string // as received
	Deliveries int    // how often a message of that Message-ID was delivered; 1 is right
}

// Sink is a running mail sink.
type Sink struct {
	listener net.Listener
	show     io.Writer
	serving  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	mails []*Mail
	byID  map[string]*Mail
	done  bool
}

// Start listens on a loopback address ("127.0.0.1:0" for any port) and shows each new mail on show
// (nil: nowhere). A second delivery of a Message-ID is accepted and counted, not shown. Close it after use.
func Start(address string, show io.Writer) (*Sink, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("mailsink: address %q: %w", address, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("mailsink: address %q is not loopback: use 127.0.0.1", address)
	}
	var opener net.ListenConfig
	l, err := opener.Listen(context.Background(), "tcp", address) // opening a local port does not wait
	if err != nil {
		return nil, fmt.Errorf("mailsink: %w", err)
	}
	if show == nil {
		show = io.Discard
	}
	s := &Sink{listener: l, show: show, conns: map[net.Conn]bool{}, byID: map[string]*Mail{}}
	s.serving.Add(1)
	go s.accept()
	return s, nil
}

// Addr is the host:port the sink listens on.
func (s *Sink) Addr() string { return s.listener.Addr().String() }

// Close stops the sink and cuts open connections.
func (s *Sink) Close() error {
	s.mu.Lock()
	s.done = true
	for c := range s.conns {
		_ = c.Close() // its session ends with the error
	}
	s.mu.Unlock()
	err := s.listener.Close()
	s.serving.Wait()
	return err
}

// Mails gives the accepted mails in the order of their first delivery.
func (s *Sink) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Mail, len(s.mails))
	for i, m := range s.mails {
		out[i] = *m
	}
	return out
}

func (s *Sink) accept() {
	defer s.serving.Done()
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		if s.done {
			s.mu.Unlock()
			_ = conn.Close()
			return
		}
		s.conns[conn] = true
		s.serving.Add(1)
		s.mu.Unlock()
		go func() {
			defer s.serving.Done()
			(&session{sink: s, conn: conn}).run()
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		}()
	}
}

// take keeps one message, or says why it is no message.
func (s *Sink) take(to []string, raw string) error {
	m, err := parse(raw)
	if err != nil {
		return err
	}
	m.To, m.Raw = to, raw
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.byID[m.MessageID]; known != nil {
		known.Deliveries++
		return nil
	}
	m.Deliveries = 1
	s.byID[m.MessageID] = m
	s.mails = append(s.mails, m)
	return show(s.show, m)
}

func show(w io.Writer, m *Mail) error {
	body := "  | " + strings.ReplaceAll(strings.TrimRight(m.Body, "\n"), "\n", "\n  | ")
	_, err := fmt.Fprintf(w, "mail to %s: %s\n  %s\n%s\n", strings.Join(m.To, ", "), m.Subject, m.MessageID, body)
	return err
}

func parse(raw string) (*Mail, error) {
	msg, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		return nil, err
	}
	m := &Mail{MessageID: msg.Header.Get("Message-ID"), From: msg.Header.Get("From")}
	if m.MessageID == "" {
		return nil, errors.New("no Message-ID")
	}
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject")); err != nil {
		return nil, err
	}
	body := msg.Body
	if strings.EqualFold(msg.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	m.Body = strings.ReplaceAll(string(text), "\r\n", "\n")
	return m, nil
}
