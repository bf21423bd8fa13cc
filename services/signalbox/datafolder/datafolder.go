// Package datafolder takes the data folder for one process at a time and keeps older binaries away from newer data. It is asked before
// anything is opened, so that who comes second is told who was first.
package datafolder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// Version is the version of the folder's layout that this binary reads and writes. What lies in the parts has versions of its own.
const Version = 1

// VersionFile holds the version, in the folder itself.
const VersionFile = "VERSION"

// Holder is what a process leaves behind for whoever is refused.
type Holder struct {
	// Command that the process runs, such as "signalbox up".
	Command string
	// Address of its gRPC listener.
	Address string
	// Since when it runs.
	Since time.Time
}

// Folder is a data folder that this process holds.
type Folder struct{ locks []*os.File }

// Take takes the parts of a folder for this process, and makes the folder when needed. Processes that run different services may share a
// folder as long as no two take the same part. It refuses with DATA_FOLDER_IN_USE, naming the holder, and with SCHEMA_TOO_NEW.
func Take(dir string, parts []string, holder Holder) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, errs.Invalid("data_dir", "the folder cannot be made: %v", err)
	}
	folder := &Folder{}
	for _, part := range parts {
		lock, err := take(dir, part, holder)
		if err != nil {
			return nil, errors.Join(err, folder.Close())
		}
		folder.locks = append(folder.locks, lock)
	}
	if err := checkVersion(dir); err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return folder, nil
}

// Close gives the folder back. The kernel does the same when the process ends, however it ends.
func (f *Folder) Close() error {
	var problems []error
	for _, lock := range f.locks {
		problems = append(problems, lock.Close())
	}
	f.locks = nil
	return errors.Join(problems...)
}

func take(dir, part string, holder Holder) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, part+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errs.Invalid("data_dir", "the folder cannot be written: %v", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(inUse(dir, file), file.Close())
	}
	if err == nil {
		err = holder.write(file)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", file.Name(), err), file.Close())
	}
	return file, nil
}

func inUse(dir string, file *os.File) error {
	left, err := io.ReadAll(io.LimitReader(file, 1<<10))
	who := strings.TrimSpace(string(left))
	if err != nil || who == "" {
		who = "another process"
	}
	return errs.New(errorsv1.ErrorReason_ERROR_REASON_DATA_FOLDER_IN_USE,
		"the data folder %s is held by %s; stop that one, or give this one a folder of its own with --data-dir", dir, who).
		With("data_dir", dir).With("holder", who)
}

func (h Holder) write(file *os.File) error {
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed host"
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err = file.WriteAt(fmt.Appendf(nil, "process %d (%s, gRPC at %s) on %s since %s\n",
		os.Getpid(), h.Command, h.Address, host, h.Since.UTC().Format(time.RFC3339)), 0)
	return err
}

// checkVersion refuses a folder of a newer binary, and marks a new one.
func checkVersion(dir string) error {
	path := filepath.Join(dir, VersionFile)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return writeVersion(path)
	}
	if err != nil {
		return err
	}
	found, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil || found < 1 {
		return errs.Invalid("data_dir", "%s does not hold a version: is %s a data folder of signalbox?", path, dir)
	}
	if found > Version {
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_SCHEMA_TOO_NEW,
			"%s has schema version %d and this binary knows versions up to %d; start a newer signalbox", dir, found, Version)
	}
	return nil
}

// writeVersion leaves either the whole file or none, also after a crash.
func writeVersion(path string) error {
	file, err := os.CreateTemp(filepath.Dir(path), VersionFile+".*")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, Version)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
