-- Times are nanoseconds since 1970; 0 is "unset". Enum columns hold the numbers of the contract.

-- Runs. run_no is the run's place in the order of creation and the short name under which all else is kept, so that what
-- belongs to runs of the same age lies together. A commit that changes no indexed column touches no index.
CREATE TABLE runs (
  run_no      INTEGER PRIMARY KEY,
  namespace   TEXT    NOT NULL,
  run_id      TEXT    NOT NULL,
  shard       INTEGER NOT NULL,
  epoch       INTEGER NOT NULL,
  sequence    INTEGER NOT NULL,
  commit_id   TEXT    NOT NULL,
  status      INTEGER NOT NULL,
  outcome     INTEGER NOT NULL,
  attention   INTEGER NOT NULL,
  workflow    TEXT    NOT NULL,
  version     TEXT    NOT NULL,
  state       TEXT    NOT NULL,
  start_time  INTEGER NOT NULL,
  update_time INTEGER NOT NULL,
  wake_time   INTEGER NOT NULL,
  head        BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX runs_by_id ON runs (namespace, run_id);
CREATE INDEX runs_by_namespace ON runs (namespace);
CREATE INDEX runs_by_workflow ON runs (namespace, workflow);
CREATE INDEX runs_by_status ON runs (namespace, status);
CREATE INDEX runs_needing_attention ON runs (shard) WHERE attention = 1;

-- History: one row a commit. row_no is run_no * 2^28 + the last sequence of the row, so that a run's history lies together and the row that
-- holds a sequence is the first at or after it.
CREATE TABLE history (
  row_no         INTEGER PRIMARY KEY,
  first_sequence INTEGER NOT NULL,
  events         BLOB    NOT NULL
) STRICT;

-- The effect ledger.
CREATE TABLE operations (
  run_no       INTEGER NOT NULL,
  operation_id TEXT    NOT NULL,
  status       INTEGER NOT NULL,
  was_unknown  INTEGER NOT NULL,
  step_path    TEXT    NOT NULL,
  record       BLOB    NOT NULL,
  PRIMARY KEY (run_no, operation_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX operations_once_unknown ON operations (run_no, operation_id) WHERE was_unknown = 1;

-- Which request started which run.
CREATE TABLE requests (
  namespace  TEXT    NOT NULL,
  request_id TEXT    NOT NULL,
  run_no     INTEGER NOT NULL,
  digest     BLOB    NOT NULL,
  PRIMARY KEY (namespace, request_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE shards (
  shard      INTEGER PRIMARY KEY,
  epoch      INTEGER NOT NULL,
  owner      TEXT    NOT NULL,
  claim_time INTEGER NOT NULL
) STRICT;

CREATE TABLE escalations (
  escalation_no INTEGER PRIMARY KEY,
  namespace     TEXT    NOT NULL,
  escalation_id TEXT    NOT NULL,
  run_no        INTEGER NOT NULL,
  run_id        TEXT    NOT NULL,
  workflow      TEXT    NOT NULL,
  state         INTEGER NOT NULL,
  opened        BLOB,
  closed        BLOB,
  open_time     INTEGER NOT NULL,
  close_time    INTEGER NOT NULL,
  open_sequence INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX escalations_by_id ON escalations (namespace, escalation_id);
CREATE INDEX escalations_by_state ON escalations (state);
CREATE INDEX escalations_by_run ON escalations (run_no);

-- The log of published events; position counts from 1 in each namespace.
CREATE TABLE events (
  event_no  INTEGER PRIMARY KEY,
  namespace TEXT    NOT NULL,
  position  INTEGER NOT NULL,
  type      TEXT    NOT NULL,
  run_id    TEXT    NOT NULL,
  time      INTEGER NOT NULL,
  record    BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_by_position ON events (namespace, position);
CREATE INDEX events_by_type ON events (namespace, type, position);

-- Artifacts by content address. chunk_no is artifact_no * 2^20 + the chunk's place.
CREATE TABLE artifacts (
  artifact_no INTEGER PRIMARY KEY,
  digest      TEXT    NOT NULL UNIQUE,
  size        INTEGER NOT NULL
) STRICT;
CREATE TABLE artifact_chunks (
  chunk_no INTEGER PRIMARY KEY,
  data     BLOB NOT NULL
) STRICT;
-- Who holds an artifact: a run, or the namespace itself (run_no 0) after an upload.
CREATE TABLE artifact_references (
  artifact_no INTEGER NOT NULL,
  namespace   TEXT    NOT NULL,
  run_no      INTEGER NOT NULL,
  PRIMARY KEY (artifact_no, namespace, run_no)
) STRICT, WITHOUT ROWID;

CREATE TABLE definitions (
  definition_no INTEGER PRIMARY KEY,
  namespace     TEXT    NOT NULL,
  name          TEXT    NOT NULL,
  version       TEXT    NOT NULL,
  digest        TEXT    NOT NULL,
  latest        INTEGER NOT NULL,
  create_time   INTEGER NOT NULL,
  findings      TEXT    NOT NULL,
  definition    BLOB    NOT NULL,
  tools         BLOB    NOT NULL,
  source        BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX definitions_by_version ON definitions (namespace, name, version);
CREATE INDEX definitions_by_digest ON definitions (namespace, digest);
