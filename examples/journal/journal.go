// Package journal keeps what an example's tool server did: a file of JSON lines, each on disk before the caller is told. What a server does to its
// world is one line, so that a process killed at any moment has either done it or not.
package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// File is a journal of entries T. It is not safe for concurrent use: its owner holds a lock anyway.
type File[T any] struct{ f *os.File }

// Open opens a journal, which is made when absent, and shows every entry in it to replay. A line that was being written when the process was
// killed is cut off: nobody was told of it.
func Open[T any](path string, replay func(T) error) (*File[T], error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := load(f, replay); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", path, err), f.Close())
	}
	return &File[T]{f}, nil
}

func load[T any](f *os.File, replay func(T) error) error {
	all, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	whole := all[:bytes.LastIndexByte(all, '\n')+1]
	n := 0
	for line := range bytes.Lines(whole) {
		n++
		var entry T
		if err := json.Unmarshal(line, &entry); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := replay(entry); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := f.Truncate(int64(len(whole))); err != nil {
		return err
	}
	_, err = f.Seek(int64(len(whole)), io.SeekStart)
	return err
}

// Append writes an entry. It is on disk when Append returns.
func (j *File[T]) Append(entry T) error {
	line, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	if _, err := j.f.Write(append(line, '\n')); err != nil {
		return err
	}
	return j.f.Sync()
}

// Close closes the file.
func (j *File[T]) Close() error { return j.f.Close() }

// Read reads the entries of a journal that another process may be writing.
func Read[T any](path string) ([]T, error) {
	all, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []T
	for line := range bytes.Lines(all[:bytes.LastIndexByte(all, '\n')+1]) {
		var entry T
		if err := json.Unmarshal(line, &entry); err != nil {
			return nil, fmt.Errorf("journal %s: %w", path, err)
		}
		out = append(out, entry)
	}
	return out, nil
}
