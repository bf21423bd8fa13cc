-- What few runs have, or only at their end, stands beside the table of runs, so that most commits touch nothing of it.

-- The places of sub-workflows and forks in their trees. open is 1 until the run has ended and has nothing left to confirm.
CREATE TABLE run_trees (
  run_no        INTEGER PRIMARY KEY,
  namespace     TEXT    NOT NULL,
  parent_run_id TEXT    NOT NULL,
  root_run_id   TEXT    NOT NULL,
  open          INTEGER NOT NULL
) STRICT;
CREATE INDEX run_trees_by_parent ON run_trees (namespace, parent_run_id);
CREATE INDEX run_trees_by_root ON run_trees (namespace, root_run_id);
CREATE INDEX run_trees_open ON run_trees (namespace, root_run_id) WHERE open = 1;

CREATE TABLE paused_runs (
  run_no INTEGER PRIMARY KEY
) STRICT;

-- Runs that have ended, by their last change.
CREATE TABLE ended_runs (
  namespace   TEXT    NOT NULL,
  update_time INTEGER NOT NULL,
  run_no      INTEGER NOT NULL,
  PRIMARY KEY (namespace, update_time, run_no)
) STRICT, WITHOUT ROWID;
INSERT INTO ended_runs (namespace, update_time, run_no) SELECT namespace, update_time, run_no FROM runs WHERE status = 3;

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
