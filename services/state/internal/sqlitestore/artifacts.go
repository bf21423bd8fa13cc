package sqlitestore

import (
	"bytes"
	"context"

	"zombiezen.com/go/sqlite"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// An artifact is kept in chunks, so that a range is read without what stands before it.
const (
	chunkBytes = 256 << 10
	chunkBits  = 20
)

// byUpload stands for the run in the reference of an artifact that no run has stored. An event of the log that names an artifact stands as a
// negative run.
const byUpload = 0

// holdArtifactSQL adds a reference to an artifact that the namespace holds already. One that only another namespace holds stays out of
// reach, whoever names it.
const holdArtifactSQL = `INSERT INTO artifact_references (artifact_no, namespace, run_no)
	SELECT a.artifact_no, ?1, ?2 FROM artifacts a WHERE a.digest = ?3
	AND EXISTS (SELECT 1 FROM artifact_references r WHERE r.artifact_no = a.artifact_no AND r.namespace = ?1) ON CONFLICT DO NOTHING`

// holdNamed makes whoever stores a record hold the artifacts that the record names, whoever stored them: they stay until the last of those
// is gone.
func (w *writer) holdNamed(namespace string, runNo int64, record []byte) error {
	for digest, rest := nextNamed(record); digest != nil; digest, rest = nextNamed(rest) {
		s := w.stmts.holdArtifact
		s.BindText(1, namespace)
		s.BindInt64(2, runNo)
		s.BindText(3, string(digest))
		if err := step(s); err != nil {
			return err
		}
	}
	return nil
}

// namedPrefix is how the name of an artifact begins in a serialized ArtifactRef: field 1, 71 bytes of text. Looking for it costs next to
// nothing, where unpacking every event of every commit would not. What looks like one by chance names no artifact, or holds one longer.
const namedPrefix = "\x0a\x47sha256:"

// digestBytes is the length of a content address.
const digestBytes = len("sha256:") + 64

// nextNamed finds the first artifact that a record names; nil when there is none.
func nextNamed(record []byte) (digest, rest []byte) {
	i := bytes.Index(record, []byte(namedPrefix))
	if i < 0 || len(record) < i+2+digestBytes {
		return nil, nil
	}
	return record[i+2 : i+2+digestBytes], record[i+2+digestBytes:]
}

// putArtifact stores an artifact, unless it is stored, and a reference to it. It runs in the caller's transaction.
func putArtifact(conn *sqlite.Conn, namespace string, runNo int64, a core.Artifact) error {
	no, _, err := findArtifact(conn, a.Digest)
	if err != nil {
		return err
	}
	if no == 0 {
		if no, err = insertArtifact(conn, a); err != nil {
			return err
		}
	}
	return each(conn, "INSERT INTO artifact_references (artifact_no, namespace, run_no) VALUES (?,?,?) ON CONFLICT DO NOTHING",
		func(s *sqlite.Stmt) {
			s.BindInt64(1, no)
			s.BindText(2, namespace)
			s.BindInt64(3, runNo)
		}, nil)
}

func insertArtifact(conn *sqlite.Conn, a core.Artifact) (no int64, err error) {
	err = each(conn, "INSERT INTO artifacts (digest, size) VALUES (?,?)", func(s *sqlite.Stmt) {
		s.BindText(1, a.Digest)
		s.BindInt64(2, int64(len(a.Data)))
	}, nil)
	if err != nil {
		return 0, err
	}
	no = conn.LastInsertRowID()
	for i, rest := int64(0), a.Data; len(rest) > 0; i++ {
		chunk := rest[:min(chunkBytes, len(rest))]
		rest = rest[len(chunk):]
		err := each(conn, "INSERT INTO artifact_chunks (chunk_no, data) VALUES (?,?)", func(s *sqlite.Stmt) {
			s.BindInt64(1, no<<chunkBits|i)
			s.BindBytes(2, chunk)
		}, nil)
		if err != nil {
			return 0, err
		}
	}
	return no, nil
}

// findArtifact returns the number of an artifact, 0 when there is none.
func findArtifact(conn *sqlite.Conn, digest string) (no, size int64, err error) {
	err = each(conn, "SELECT artifact_no, size FROM artifacts WHERE digest = ?",
		func(s *sqlite.Stmt) { s.BindText(1, digest) },
		func(s *sqlite.Stmt) error {
			no, size = s.ColumnInt64(0), s.ColumnInt64(1)
			return nil
		})
	return no, size, err
}

// PutArtifact implements core.ArtifactStore.
func (s *Store) PutArtifact(ctx context.Context, namespace string, a core.Artifact) error {
	return s.writer.do(ctx, len(a.Data), func(conn *sqlite.Conn) error { return putArtifact(conn, namespace, byUpload, a) })
}

// ReadArtifact implements core.ArtifactStore.
func (s *Store) ReadArtifact(
	ctx context.Context, namespace, digest string, offset uint64, limit int,
) (data []byte, size uint64, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		no, n, err := findArtifact(conn, digest)
		if err != nil {
			return err
		}
		held := false
		err = each(conn, "SELECT 1 FROM artifact_references WHERE artifact_no = ? AND namespace = ? LIMIT 1", func(s *sqlite.Stmt) {
			s.BindInt64(1, no)
			s.BindText(2, namespace)
		}, func(*sqlite.Stmt) error { held = true; return nil })
		if err != nil {
			return err
		}
		if !held {
			return core.ArtifactNotFound(namespace, digest)
		}
		size = uint64(n)
		if offset >= size {
			return nil
		}
		data, err = readChunks(conn, no, int64(offset), int64(min(uint64(limit), size-offset)))
		return err
	})
	return data, size, err
}

// readChunks reads bytes that exist.
func readChunks(conn *sqlite.Conn, no, offset, n int64) ([]byte, error) {
	data := make([]byte, 0, n)
	if n == 0 {
		return data, nil
	}
	err := each(conn, "SELECT data FROM artifact_chunks WHERE chunk_no BETWEEN ? AND ? ORDER BY chunk_no", func(s *sqlite.Stmt) {
		s.BindInt64(1, no<<chunkBits|offset/chunkBytes)
		s.BindInt64(2, no<<chunkBits|(offset+n-1)/chunkBytes)
	}, func(s *sqlite.Stmt) error {
		chunk := bytesAt(s, 0)
		if len(data) == 0 {
			chunk = chunk[offset%chunkBytes:]
		}
		data = append(data, chunk[:min(int64(len(chunk)), n-int64(len(data)))]...)
		return nil
	})
	return data, err
}
