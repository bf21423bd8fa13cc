package shop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// readers is how many reads run beside each other and beside the one writer.
const readers = 4

// ErrEmpty is returned by calls on a shop that holds no data yet; Load fills it.
var ErrEmpty = errors.New("the shop holds no data: load a shop first")

// Mailer delivers one message to one address. It returns nil only when the mail server accepted it.
type Mailer interface {
	Send(ctx context.Context, m Mail) error
}

// Mail is a message of the desk to a customer.
type Mail struct {
	MessageID string // unique; becomes the Message-ID header
	To        string // address
	Name      string // the addressee's name
	Subject   string
	Body      string // plain text, lines ended by \n
}

// Config says where a shop lives and what it needs from outside.
type Config struct {
	// Path of the SQLite file; created when absent.
	Path string
	// Now gives the time for journal and records. Default time.Now.
	Now func() time.Time
	// Mailer sends confirmations. Nil: send_confirmation is refused.
	Mailer Mailer
}

// Shop is one open shop. All methods may be called concurrently.
type Shop struct {
	cfg    Config
	writer *sqlite.Conn
	writes sync.Mutex // guards writer
	idle   chan *sqlite.Conn
	mails  keyedMutex // one send at a time per message id

	stock sync.RWMutex // guards goods and policy, which change on Load only
	goods *catalogue
	rules *policyIndex
}

// Open opens the shop's file and makes it when it is not there. Close it after use.
func Open(cfg Config) (*Shop, error) {
	if cfg.Path == "" {
		return nil, errors.New("shop: Path is empty: name the SQLite file")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Shop{cfg: cfg, idle: make(chan *sqlite.Conn, readers)}
	var err error
	if s.writer, err = connect(cfg.Path, sqlite.OpenReadWrite|sqlite.OpenCreate); err != nil {
		return nil, err
	}
	if err = sqlitex.ExecuteScript(s.writer, schema, nil); err == nil {
		err = s.connectReaders()
	}
	if err == nil {
		err = s.restock()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("shop: open %s: %w", cfg.Path, err), s.Close())
	}
	return s, nil
}

// pragmas of every connection. NORMAL keeps all commits through a process that dies at any moment;
// only a machine that loses power could lose the last ones, which a demonstration shop may.
var pragmas = []string{"PRAGMA busy_timeout=10000", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL"}

func connect(path string, flags sqlite.OpenFlags) (*sqlite.Conn, error) {
	conn, err := sqlite.OpenConn(path, flags)
	if err != nil {
		return nil, fmt.Errorf("shop: open %s: %w", path, err)
	}
	for _, pragma := range pragmas {
		if err := sqlitex.ExecuteTransient(conn, pragma, nil); err != nil {
			return nil, errors.Join(fmt.Errorf("shop: open %s: %w", path, err), conn.Close())
		}
	}
	return conn, nil
}

func (s *Shop) connectReaders() error {
	for range readers {
		conn, err := connect(s.cfg.Path, sqlite.OpenReadWrite)
		if err != nil {
			return err
		}
		s.idle <- conn
	}
	return nil
}

// Close ends all connections. No other call may be running.
func (s *Shop) Close() error {
	var errs []error
	for range len(s.idle) {
		errs = append(errs, (<-s.idle).Close())
	}
	errs = append(errs, s.writer.Close())
	return errors.Join(errs...)
}

// read runs f on a connection of its own; f sees the last committed state.
func (s *Shop) read(f func(*sqlite.Conn) error) error {
	conn := <-s.idle
	defer func() { s.idle <- conn }()
	return f(conn)
}

// write runs f in one transaction, alone. An error of f rolls it back.
func (s *Shop) write(f func(*sqlite.Conn) error) (err error) {
	s.writes.Lock()
	defer s.writes.Unlock()
	end, err := sqlitex.ImmediateTransaction(s.writer)
	if err != nil {
		return fmt.Errorf("shop: begin: %w", err)
	}
	defer end(&err)
	return f(s.writer)
}

// now is the time as records keep it.
func (s *Shop) now() string { return s.cfg.Now().UTC().Format(time.RFC3339Nano) }

// restock reads the goods and the policy from the file.
func (s *Shop) restock() error {
	docs := map[string][]byte{}
	var policy string
	err := s.read(func(c *sqlite.Conn) error {
		if err := rows(c, "SELECT id, doc FROM products", func(r *sqlite.Stmt) {
			docs[r.ColumnText(0)] = []byte(r.ColumnText(1))
		}); err != nil {
			return err
		}
		return rows(c, "SELECT value FROM settings WHERE name = 'policy'", func(r *sqlite.Stmt) {
			policy = r.ColumnText(0)
		})
	})
	if err != nil {
		return err
	}
	goods, err := newCatalogue(docs)
	if err != nil {
		return err
	}
	s.stock.Lock()
	defer s.stock.Unlock()
	s.goods, s.rules = goods, newPolicyIndex(policy)
	return nil
}

// catalogue gives the goods, or ErrEmpty before the first Load.
func (s *Shop) catalogue() (*catalogue, error) {
	s.stock.RLock()
	defer s.stock.RUnlock()
	if len(s.goods.docs) == 0 {
		return nil, ErrEmpty
	}
	return s.goods, nil
}

// policy gives the searchable policy; it finds nothing before the first Load.
func (s *Shop) policy() *policyIndex {
	s.stock.RLock()
	defer s.stock.RUnlock()
	return s.rules
}
