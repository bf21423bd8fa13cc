package sqlitestore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// lockName is the file whose lock makes a process the folder's only user. The kernel takes the lock back when the process ends, however
// it ends; the file stays.
const lockName = "LOCK"

// lockFolder makes this process the only user of a folder, which it creates when needed. It refuses with DataFolderInUse.
func lockFolder(dir string, now time.Time) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder, _ := io.ReadAll(io.LimitReader(file, 1<<10))
		_ = file.Close()
		return nil, core.DataFolderInUse(dir, strings.TrimSpace(string(holder)))
	}
	if err == nil {
		err = writeHolder(file, now)
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return file, nil
}

// syncFolder makes the names in a folder, and its own name in the folder above, durable. SQLite does that for the files it makes, but nobody
// does it for the folder.
func syncFolder(dir string) error {
	for _, name := range []string{dir, filepath.Dir(dir)} {
		folder, err := os.Open(name)
		if err != nil {
			return err
		}
		err = folder.Sync()
		if closeErr := folder.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return fmt.Errorf("sync folder %s: %w", name, err)
		}
	}
	return nil
}

// writeHolder leaves word for whoever is refused.
func writeHolder(file *os.File, now time.Time) error {
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed host"
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err = file.WriteAt(fmt.Appendf(nil, "process %d on %s since %s\n", os.Getpid(), host, now.UTC().Format(time.RFC3339)), 0)
	return err
}
