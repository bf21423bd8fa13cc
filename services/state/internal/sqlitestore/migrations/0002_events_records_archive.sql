-- The tree of runs. A run that is the root of its tree, or alone, has no root_run_id, so that most runs are in none of these indexes.
ALTER TABLE runs ADD COLUMN parent_run_id TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN root_run_id TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
-- Set by the commit that ends the run, and by no other, so that the index on it costs nothing while the run lives.
ALTER TABLE runs ADD COLUMN end_time INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET end_time = update_time WHERE status = 3;
CREATE INDEX runs_by_parent ON runs (namespace, parent_run_id) WHERE parent_run_id <> '';
CREATE INDEX runs_by_root ON runs (namespace, root_run_id) WHERE root_run_id <> '';
CREATE INDEX runs_open_by_root ON runs (namespace, root_run_id) WHERE root_run_id <> '' AND (status <> 3 OR attention = 1);
CREATE INDEX runs_by_end ON runs (namespace, end_time) WHERE end_time > 0;

-- Position of the last event in the namespace's log when the commit was made, before its own events. Rows of older versions have 0: all
-- events count as later.
ALTER TABLE history ADD COLUMN log_end INTEGER NOT NULL DEFAULT 0;

-- Sequence of the history event that emitted it; 0: published from outside, or by an older version.
ALTER TABLE events ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;

-- Which events are in a namespace's log, by what a CloudEvent is known by. Of duplicates that an older version let in, the first counts.
CREATE TABLE event_identities (
  namespace TEXT    NOT NULL,
  source    TEXT    NOT NULL,
  event_id  TEXT    NOT NULL,
  event_no  INTEGER NOT NULL,
  PRIMARY KEY (namespace, source, event_id)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO event_identities (namespace, source, event_id, event_no)
  SELECT namespace, event_source(record), event_id(record), event_no FROM events ORDER BY event_no;

-- Up to where retention has removed a namespace's events.
CREATE TABLE event_floors (
  namespace TEXT    PRIMARY KEY,
  position  INTEGER NOT NULL,
  event_no  INTEGER NOT NULL
) STRICT;

-- Small records of other services.
CREATE TABLE records (
  record_no   INTEGER PRIMARY KEY,
  kind        TEXT    NOT NULL,
  namespace   TEXT    NOT NULL,
  id          TEXT    NOT NULL,
  version     INTEGER NOT NULL,
  update_time INTEGER NOT NULL,
  data        BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX records_by_id ON records (kind, namespace, id);

-- Runs that are in the archive and no longer in runs. run_no is what the run had there, and is never given to another. remains is 1 while
-- rows of other tables are still to be removed.
CREATE TABLE archived_runs (
  run_no       INTEGER PRIMARY KEY,
  namespace    TEXT    NOT NULL,
  run_id       TEXT    NOT NULL,
  workflow     TEXT    NOT NULL,
  version      TEXT    NOT NULL,
  outcome      INTEGER NOT NULL,
  shard        INTEGER NOT NULL,
  sequence     INTEGER NOT NULL,
  commit_id    TEXT    NOT NULL,
  end_time     INTEGER NOT NULL,
  archive_time INTEGER NOT NULL,
  size         INTEGER NOT NULL,
  file         TEXT    NOT NULL,
  remains      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX archived_runs_by_id ON archived_runs (namespace, run_id);
CREATE INDEX archived_runs_by_end ON archived_runs (namespace, end_time);
CREATE INDEX archived_runs_by_workflow ON archived_runs (namespace, workflow, end_time);
CREATE INDEX archived_runs_remaining ON archived_runs (run_no) WHERE remains = 1;

-- What retention has to give back when a run or an event goes.
CREATE INDEX artifact_references_by_run ON artifact_references (run_no);
