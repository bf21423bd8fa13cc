package sqlitestore

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// The schema's version is the file's user_version, so that it changes in the same transaction as the tables. Each version is one file,
// named NNNN_what.sql, and is never changed once released.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

// applicationID marks the file as ours ("sbx1").
const applicationID = 0x73627831

// migrate brings the database to the newest version this binary knows. It refuses one that is newer.
func migrate(conn *sqlite.Conn) error {
	scripts, err := migrations()
	if err != nil {
		return err
	}
	version, err := checkHeader(conn)
	if err != nil {
		return err
	}
	if version > len(scripts) {
		return core.SchemaTooNew(version, len(scripts))
	}
	if err := addEventFunctions(conn); err != nil {
		return err
	}
	for ; version < len(scripts); version++ {
		if err := migrateTo(conn, version+1, scripts[version]); err != nil {
			return fmt.Errorf("migrate to schema version %d: %w", version+1, err)
		}
	}
	return nil
}

// migrations returns the scripts in order; the file of version n stands at n-1.
func migrations() ([]string, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	scripts := make([]string, len(names))
	for i, name := range names {
		number, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
		if n, err := strconv.Atoi(number); err != nil || n != i+1 {
			return nil, fmt.Errorf("migration %s is not number %d; the files count from 0001 without gaps", name, i+1)
		}
		script, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		scripts[i] = string(script)
	}
	return scripts, nil
}

// checkHeader returns the schema's version. A file that has tables but is not ours is left alone.
func checkHeader(conn *sqlite.Conn) (version int, err error) {
	id, err := pragma(conn, "application_id")
	if err != nil {
		return 0, err
	}
	version, err = pragma(conn, "user_version")
	if err != nil || id == applicationID {
		return version, err
	}
	tables := 0
	err = each(conn, "SELECT count(*) FROM sqlite_schema", nil, func(s *sqlite.Stmt) error {
		tables = s.ColumnInt(0)
		return nil
	})
	if err == nil && (tables > 0 || version > 0) {
		err = fmt.Errorf("the file is a database of another program (application_id %#x)", id)
	}
	return 0, err
}

func migrateTo(conn *sqlite.Conn, version int, script string) (err error) {
	end, err := sqlitex.ImmediateTransaction(conn)
	if err != nil {
		return err
	}
	defer end(&err)
	stamp := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, version)
	for _, statement := range []string{script, stamp} {
		if err = execScript(conn, statement); err != nil {
			return err
		}
	}
	return nil
}

// addEventFunctions lets statements of this connection look into the records of events.
func addEventFunctions(conn *sqlite.Conn) error {
	for name, field := range map[string]func(*workflowv1.EmittedEvent) string{
		"event_id": (*workflowv1.EmittedEvent).GetId, "event_source": (*workflowv1.EmittedEvent).GetSource,
	} {
		err := conn.CreateFunction(name, &sqlite.FunctionImpl{NArgs: 1, Deterministic: true,
			Scalar: func(_ sqlite.Context, args []sqlite.Value) (sqlite.Value, error) {
				event := &workflowv1.EmittedEvent{}
				err := proto.Unmarshal(args[0].Blob(), event)
				return sqlite.TextValue(field(event)), err
			}})
		if err != nil {
			return err
		}
	}
	return nil
}
