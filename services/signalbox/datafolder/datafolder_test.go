package datafolder_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/signalbox/datafolder"
)

var holder = datafolder.Holder{Command: "signalbox up", Address: "127.0.0.1:7411", Since: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}

func take(t *testing.T, dir string, parts ...string) *datafolder.Folder {
	t.Helper()
	folder, err := datafolder.Take(dir, parts, holder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = folder.Close() })
	return folder
}

func TestSecondHolderIsToldWhoIsFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	first := take(t, dir, "state", "etcd")
	_, err := datafolder.Take(dir, []string{"state"}, datafolder.Holder{Command: "signalbox serve state"})
	if !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_DATA_FOLDER_IN_USE) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{dir, "process " + strconv.Itoa(os.Getpid()), "signalbox up, gRPC at 127.0.0.1:7411", "since 2026-11-22T12:00:00Z", "--data-dir"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q: %v", want, err)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	take(t, dir, "state")
}

// Processes of one installation may share a folder; what is refused leaves nothing taken.
func TestPartsAreTakenAllOrNone(t *testing.T) {
	dir := t.TempDir()
	take(t, dir, "etcd")
	if _, err := datafolder.Take(dir, []string{"state", "etcd"}, holder); err == nil {
		t.Fatal("etcd was taken twice")
	}
	take(t, dir, "state")
}

func TestNewerFolderIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	_ = take(t, dir, "state").Close()
	path := filepath.Join(dir, datafolder.VersionFile)
	if content, err := os.ReadFile(path); err != nil || string(content) != "1\n" {
		t.Fatalf("%q, %v", content, err)
	}
	if err := os.WriteFile(path, []byte("2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := datafolder.Take(dir, []string{"state"}, holder); !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_SCHEMA_TOO_NEW) {
		t.Errorf("version 2: %v", err)
	}
	if err := os.WriteFile(path, []byte("holiday photos\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := datafolder.Take(dir, []string{"state"}, holder); !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT) {
		t.Errorf("no version: %v", err)
	}
	if err := os.WriteFile(path, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	take(t, dir, "state") // the refusals gave the folder back
}

func TestFolderThatCannotBeMadeSaysSo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := datafolder.Take(filepath.Join(file, "data"), []string{"state"}, holder)
	if !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT) || !strings.Contains(err.Error(), "data_dir") {
		t.Errorf("got %v", err)
	}
}

// A child process must not inherit the folder: it would hold it after its parent was killed.
func TestChildDoesNotHoldTheFolder(t *testing.T) {
	dir := t.TempDir()
	folder := take(t, dir, "state")
	child := exec.CommandContext(t.Context(), "cat") // waits for the end of its input
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Skipf("no child can be started here: %v", err)
	}
	defer func() { _ = stdin.Close(); _ = child.Wait() }()
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}
	take(t, dir, "state")
}
