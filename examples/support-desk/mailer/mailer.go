// Package mailer hands the desk's mails to a mail server, over real SMTP.
package mailer

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

// domain is the right side of the desk's addresses and message ids; .example never exists.
const domain = "support-desk.example"

// SMTP sends by one mail server, without encryption or login: it is meant for a server on loopback.
type SMTP struct {
	// Addr is host:port of the server. Required.
	Addr string
	// Timeout of one delivery. Default 10 seconds.
	Timeout time.Duration
	// Now gives the Date header. Default time.Now.
	Now func() time.Time
}

// Send implements shop.Mailer. It returns nil only after the server accepted the message.
func (s SMTP) Send(ctx context.Context, m shop.Mail) (err error) {
	if s.Timeout <= 0 {
		s.Timeout = 10 * time.Second
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	to, err := mail.ParseAddress(m.To)
	if err != nil {
		return fmt.Errorf("%q is no address", m.To)
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	host, _, _ := net.SplitHostPort(s.Addr) // DialContext took it
	client, err := smtp.NewClient(conn, host)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	defer func() { _ = client.Close() }() // after Quit it is closed already
	if err := s.deliver(client, to.Address, s.compose(m, to.Address)); err != nil {
		return err
	}
	_ = client.Quit() // the message is accepted; a goodbye that fails changes nothing
	return nil
}

func (s SMTP) deliver(c *smtp.Client, to, message string) error {
	if err := c.Hello("localhost"); err != nil {
		return err
	}
	if err := c.Mail("desk@" + domain); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	body, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := body.Write([]byte(message)); err != nil {
		return errors.Join(err, body.Close())
	}
	return body.Close()
}

// compose writes the message as RFC 5322 wants it.
func (s SMTP) compose(m shop.Mail, to string) string {
	var b strings.Builder
	header := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	header("From", "Support desk <desk@"+domain+">")
	header("To", (&mail.Address{Name: m.Name, Address: to}).String())
	header("Subject", mime.QEncoding.Encode("utf-8", m.Subject))
	header("Date", s.Now().Format(time.RFC1123Z))
	header("Message-ID", MessageID(m.MessageID))
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(strings.ReplaceAll(m.Body, "\n", "\r\n"))) // a strings.Builder never fails
	_ = w.Close()
	return b.String()
}

// MessageID gives the Message-ID header for an id of the caller's choice: characters that a Message-ID
// may not hold are written as %XX.
func MessageID(id string) string {
	var b strings.Builder
	for i := range len(id) {
		c := id[i]
		plain := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("!#$&'*+-/=?^_`{|}~", c) >= 0
		dot := c == '.' && i > 0 && i < len(id)-1 && id[i-1] != '.'
		if plain || dot {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return "<" + b.String() + "@" + domain + ">"
}
