package sqlitestore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
	"zombiezen.com/go/sqlite"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

const definitionColumns = "definition_no, namespace, name, version, digest, create_time, findings, definition, tools"

// AddDefinition implements core.DefinitionStore.
func (s *Store) AddDefinition(ctx context.Context, d *core.Definition) (kept *core.Definition, created bool, err error) {
	row, err := encodeDefinition(d)
	if err != nil {
		return nil, false, err
	}
	var existing *core.Definition
	err = s.writer.do(ctx, len(d.Source)+len(row.definition), func(conn *sqlite.Conn) (err error) {
		existing, err = findDefinition(conn, core.DefinitionKey{Namespace: d.Namespace, Name: d.Name, Version: d.Version})
		if err != nil || existing != nil {
			return err
		}
		latest, err := becomesLatest(conn, d)
		if err != nil {
			return err
		}
		return row.insert(conn, d, latest)
	})
	if err != nil {
		return nil, false, err
	}
	if existing != nil {
		return existing, false, nil
	}
	return d, true, nil
}

// becomesLatest reports whether d is the highest version of its workflow, and if so takes that mark from the one that had it.
func becomesLatest(conn *sqlite.Conn, d *core.Definition) (latest bool, err error) {
	former := ""
	named := func(s *sqlite.Stmt) {
		s.BindText(1, d.Namespace)
		s.BindText(2, d.Name)
	}
	err = each(conn, "SELECT version FROM definitions WHERE namespace = ? AND name = ? AND latest = 1", named, func(s *sqlite.Stmt) error {
		former = s.ColumnText(0)
		return nil
	})
	if err != nil || (former != "" && core.CompareVersions(former, d.Version) > 0) {
		return false, err
	}
	return true, each(conn, "UPDATE definitions SET latest = 0 WHERE namespace = ? AND name = ? AND latest = 1", named, nil)
}

// definitionRow holds the columns that have to be encoded.
type definitionRow struct {
	findings          string
	definition, tools []byte
}

func encodeDefinition(d *core.Definition) (row definitionRow, err error) {
	findings, err := json.Marshal(d.Findings)
	if err != nil {
		return row, err
	}
	row.findings = string(findings)
	if row.definition, err = (proto.MarshalOptions{Deterministic: true}).Marshal(d.Proto); err != nil {
		return row, err
	}
	var tools bytes.Buffer
	for _, tool := range d.Tools {
		if _, err := protodelim.MarshalTo(&tools, tool); err != nil {
			return row, err
		}
	}
	row.tools = tools.Bytes()
	return row, nil
}

func (r definitionRow) insert(conn *sqlite.Conn, d *core.Definition, latest bool) error {
	return each(conn, `INSERT INTO definitions (namespace, name, version, digest, latest, create_time, findings, definition, tools, source)
		VALUES (?,?,?,?,?,?,?,?,?,?)`, func(s *sqlite.Stmt) {
		s.BindText(1, d.Namespace)
		s.BindText(2, d.Name)
		s.BindText(3, d.Version)
		s.BindText(4, d.Digest)
		s.BindInt64(5, boolInt(latest))
		s.BindInt64(6, nanos(d.CreateTime))
		s.BindText(7, r.findings)
		s.BindBytes(8, r.definition)
		s.BindBytes(9, r.tools)
		s.BindBytes(10, d.Source)
	}, nil)
}

// definitionAt reads definitionColumns.
func definitionAt(s *sqlite.Stmt) (*core.Definition, error) {
	d := &core.Definition{
		Namespace: s.ColumnText(1), Name: s.ColumnText(2), Version: s.ColumnText(3), Digest: s.ColumnText(4), CreateTime: timeAt(s, 5),
		Proto: &workflowv1.WorkflowDefinition{},
	}
	if err := json.Unmarshal([]byte(s.ColumnText(6)), &d.Findings); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(bytesAt(s, 7), d.Proto); err != nil {
		return nil, err
	}
	for tools := bytes.NewReader(bytesAt(s, 8)); ; {
		tool := &workflowv1.ToolDeclaration{}
		err := protodelim.UnmarshalOptions{MaxSize: -1}.UnmarshalFrom(tools, tool)
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		if err != nil {
			return nil, err
		}
		d.Tools = append(d.Tools, tool)
	}
}

// FindDefinition implements core.DefinitionStore.
func (s *Store) FindDefinition(ctx context.Context, key core.DefinitionKey) (found *core.Definition, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) (err error) {
		found, err = findDefinition(conn, key)
		return err
	})
	return found, err
}

func findDefinition(conn *sqlite.Conn, key core.DefinitionKey) (found *core.Definition, err error) {
	where := "name = ?2 AND version = ?3"
	values := []string{key.Namespace, key.Name, key.Version}
	switch {
	case key.Digest != "":
		where, values = "digest = ?2", []string{key.Namespace, key.Digest}
	case key.Version == "":
		where, values = "name = ?2 AND latest = 1", values[:2]
	}
	err = each(conn, "SELECT "+definitionColumns+", source FROM definitions WHERE namespace = ?1 AND "+where+" LIMIT 1",
		func(s *sqlite.Stmt) {
			for i, value := range values {
				s.BindText(i+1, value)
			}
		}, func(s *sqlite.Stmt) (err error) {
			if key.Known != "" && key.Known == s.ColumnText(4) {
				// SQLite reads a column when it is asked for: the large ones of this row cost nothing.
				found = &core.Definition{Namespace: s.ColumnText(1), Name: s.ColumnText(2), Version: s.ColumnText(3), Digest: key.Known}
				return nil
			}
			if found, err = definitionAt(s); err == nil {
				found.Source = bytesAt(s, 9)
			}
			return err
		})
	return found, err
}

// ListDefinitions implements core.DefinitionStore.
func (s *Store) ListDefinitions(
	ctx context.Context, query core.DefinitionQuery, page core.Page,
) (list []*core.Definition, next string, err error) {
	before, err := cursorNumber(page.Cursor, 1<<62)
	if err != nil {
		return nil, "", err
	}
	last, fill := int64(0), filling{limit: page.Limit}
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		return each(conn, "SELECT "+definitionColumns+` FROM definitions WHERE definition_no < ?1 AND (?2 = '' OR namespace = ?2)
			AND (?3 = '' OR name = ?3) AND latest >= ?4 ORDER BY definition_no DESC LIMIT ?5`, func(s *sqlite.Stmt) {
			s.BindInt64(1, before)
			s.BindText(2, query.Namespace)
			s.BindText(3, query.Name)
			s.BindInt64(4, boolInt(query.LatestOnly))
			s.BindInt64(5, int64(page.Limit)+1)
		}, func(s *sqlite.Stmt) error {
			if !fill.fits(s.ColumnLen(7) + s.ColumnLen(8)) {
				next = strconv.FormatInt(last, 10)
				return errEnough
			}
			last = s.ColumnInt64(0)
			d, err := definitionAt(s)
			list = append(list, d)
			return err
		})
	})
	return list, next, err
}

// ListVersions implements core.DefinitionStore.
func (s *Store) ListVersions(ctx context.Context, namespace string) (versions []core.VersionName, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		return each(conn, "SELECT name, version FROM definitions WHERE namespace = ?",
			func(s *sqlite.Stmt) { s.BindText(1, namespace) },
			func(s *sqlite.Stmt) error {
				versions = append(versions, core.VersionName{Name: s.ColumnText(0), Version: s.ColumnText(1)})
				return nil
			})
	})
	return versions, err
}
