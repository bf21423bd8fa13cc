package journal_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/journal"
)

type entry struct {
	N int `json:"n"`
}

func TestWhatWasWrittenIsThereAgainAndHalfALineIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.jsonl")
	var seen []int
	open := func() *journal.File[entry] {
		t.Helper()
		seen = nil
		j, err := journal.Open(path, func(e entry) error { seen = append(seen, e.N); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	write := func(j *journal.File[entry], n int) {
		t.Helper()
		if err := errors.Join(j.Append(entry{n}), j.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write(open(), 1)
	write(open(), 2)
	half, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := half.WriteString(`{"n":3`); err != nil {
		t.Fatal(err)
	}
	if err := half.Close(); err != nil {
		t.Fatal(err)
	}
	if all, err := journal.Read[entry](path); err != nil || len(all) != 2 {
		t.Errorf("%v, %v: a reader sees whole lines", all, err)
	}
	write(open(), 4)
	if !slices.Equal(seen, []int{1, 2}) {
		t.Errorf("%v are there after the half line", seen)
	}
	if err := open().Close(); err != nil || !slices.Equal(seen, []int{1, 2, 4}) {
		t.Errorf("%v, %v", seen, err)
	}
}

func TestAFileThatIsNoJournalIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.jsonl")
	if err := os.WriteFile(path, []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Open(path, func(entry) error { return nil }); err == nil {
		t.Error("it was opened")
	}
}
