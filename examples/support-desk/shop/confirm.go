package shop

import (
	"context"
	"fmt"

	"zombiezen.com/go/sqlite"
)

// letters are the messages the desk can send, by template.
var letters = map[string]struct{ subject, body string }{
	"received":  {"We are looking into it", "thank you for writing. We have your message and are looking into it."},
	"resolved":  {"Your case is settled", "your case is settled. If anything is still not as it should be, answer this mail."},
	"refunded":  {"Your refund is on its way", "we have sent your refund. A gift card has it now, a bank takes 5 to 7 business days."},
	"escalated": {"A colleague is taking over", "a colleague of ours now looks after your case and will write to you."},
	"closed":    {"Your case is closed", "we have closed your case without a change. If you disagree, answer this mail."},
}

// Templates gives the names of the messages that send_confirmation knows, in order.
func Templates() []string { return []string{"closed", "escalated", "received", "refunded", "resolved"} }

type confirmArgs struct {
	UserID    string `json:"user_id"`
	Template  string
	MessageID string `json:"message_id"`
}

// sendConfirmation mails a customer. A message id that was sent answers as the first time and sends
// nothing. Between the mail server's yes and our record of it lies one moment: a process that dies
// there sends the same message, under the same Message-ID, again when it is asked again.
func sendConfirmation(ctx context.Context, s *Shop, c call) (Result, error) {
	var a confirmArgs
	if err := c.decode(&a); err != nil {
		return Result{}, err
	}
	mail, err := s.compose(a)
	if err != nil {
		return Result{}, err
	}
	defer s.mails.lock(a.MessageID)()
	answer, err := reply(map[string]string{"message_id": a.MessageID, "address": mail.To, "status": "sent"})
	if err != nil {
		return Result{}, err
	}
	sent, err := s.announce(a, mail.To)
	if err != nil {
		return Result{}, err
	}
	if sent {
		return Result{Text: answer}, nil
	}
	if err := s.cfg.Mailer.Send(ctx, mail); err != nil {
		return Result{}, refuse("the mail was not accepted: %v", err)
	}
	return s.transact(c, func(ch *change) (string, error) {
		ch.entry.Subject, ch.entry.ArgumentKey = a.MessageID, a.MessageID
		return answer, exec(ch.conn, "UPDATE confirmations SET state = 'sent', updated_at = ? WHERE message_id = ?", s.now(), a.MessageID)
	})
}

// compose writes the message, or refuses what cannot be sent.
func (s *Shop) compose(a confirmArgs) (Mail, error) {
	if s.cfg.Mailer == nil {
		return Mail{}, refuse("this desk has no mail server: start it with --smtp")
	}
	if a.MessageID == "" {
		return Mail{}, refuse("message_id is empty: send an id that is unique to this message")
	}
	letter, ok := letters[a.Template]
	if !ok {
		return Mail{}, refuse("template %q is unknown: use one of %v", a.Template, Templates())
	}
	var u User
	err := s.read(func(c *sqlite.Conn) error {
		return (&change{conn: c}).document("SELECT doc FROM users WHERE id = ?", a.UserID, "user not found", &u)
	})
	if err != nil {
		return Mail{}, err
	}
	return Mail{
		MessageID: a.MessageID, To: u.Email, Name: u.Name.FirstName + " " + u.Name.LastName, Subject: letter.subject,
		Body: fmt.Sprintf("Dear %s,\n\n%s\n\nYour support desk\n", u.Name.FirstName, letter.body),
	}, nil
}

// announce records that a message is about to go out, and reports whether it went out before.
func (s *Shop) announce(a confirmArgs, address string) (sent bool, err error) {
	err = s.write(func(c *sqlite.Conn) (err error) {
		other := false
		if err := rows(c, "SELECT state, user_id, template FROM confirmations WHERE message_id = ?", func(r *sqlite.Stmt) {
			sent = r.ColumnText(0) == "sent"
			other = r.ColumnText(1) != a.UserID || r.ColumnText(2) != a.Template
		}, a.MessageID); err != nil {
			return err
		}
		if other {
			return refuse("message_id %q was used for another message", a.MessageID)
		}
		return exec(c, `INSERT INTO confirmations (message_id, user_id, template, address, state, updated_at)
			VALUES (?, ?, ?, ?, 'sending', ?) ON CONFLICT (message_id) DO NOTHING`, a.MessageID, a.UserID, a.Template, address, s.now())
	})
	return sent, err
}
