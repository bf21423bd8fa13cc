package shop

// schema of the shop's file. A user and an order are kept as the JSON document the tools show; start
// is the document as loaded, so that the file itself tells what changed and a reset needs no source.
// The other tables hold what the tools leave behind besides; journal is one row per effect.
const schema = `
CREATE TABLE IF NOT EXISTS users (
  id        TEXT PRIMARY KEY,
  pos       INTEGER NOT NULL,          -- place in users.json: a search answers the first match
  email_key TEXT NOT NULL,             -- lower case
  name_key  TEXT NOT NULL,             -- "first\nlast", lower case
  doc       TEXT NOT NULL,
  start     TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS users_by_email ON users (email_key, pos);
CREATE INDEX IF NOT EXISTS users_by_name ON users (name_key, pos);
CREATE TABLE IF NOT EXISTS orders (
  id    TEXT PRIMARY KEY,
  doc   TEXT NOT NULL,
  start TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS products (
  id  TEXT PRIMARY KEY,
  doc TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (
  name  TEXT PRIMARY KEY,              -- "policy", and what the desk's fault switches remember
  value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (
  note_id    INTEGER PRIMARY KEY,
  user_id    TEXT NOT NULL,
  text       TEXT NOT NULL,
  key        TEXT UNIQUE,              -- NULL: never de-duplicated
  created_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS transfers (
  transfer_id INTEGER PRIMARY KEY,
  summary     TEXT NOT NULL,
  created_at  TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS case_status (
  order_id   TEXT PRIMARY KEY,
  status     TEXT NOT NULL,
  updated_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refunds (
  refund_id         TEXT PRIMARY KEY,
  order_id          TEXT NOT NULL,
  amount_cents      INTEGER NOT NULL,
  payment_method_id TEXT NOT NULL,
  key               TEXT NOT NULL UNIQUE,
  status            TEXT NOT NULL,     -- issued, cancelled
  created_at        TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS refunds_by_order ON refunds (order_id);
CREATE TABLE IF NOT EXISTS confirmations (
  message_id TEXT PRIMARY KEY,
  user_id    TEXT NOT NULL,
  template   TEXT NOT NULL,
  address    TEXT NOT NULL,
  state      TEXT NOT NULL,            -- sending, sent
  updated_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journal (
  seq          INTEGER PRIMARY KEY,
  time         TEXT NOT NULL,
  tool         TEXT NOT NULL,
  subject      TEXT NOT NULL,          -- the order, user or message it was about
  operation    TEXT NOT NULL,
  attempt      TEXT NOT NULL,
  key          TEXT NOT NULL,
  argument_key TEXT NOT NULL,
  arguments    TEXT NOT NULL           -- sha256 of the canonical arguments
);
`
