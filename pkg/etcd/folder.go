package etcd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
)

// What a data folder holds.
const (
	lockFile         = "signalbox.lock" // held while a server runs
	memberFolder     = "member-data"    // etcd's own files
	finishedFile     = "finished"       // there when a server on this folder has been ready once
	unfinishedFolder = "member-data.unfinished"
)

// lockDir takes the folder for this process. Without it etcd would wait for the other process without a word.
func lockDir(dir string) (*fileutil.LockedFile, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("etcd: make data folder: %w", err)
	}
	locked, err := fileutil.TryLockFile(filepath.Join(dir, lockFile), os.O_WRONLY|os.O_CREATE, 0o600)
	if errors.Is(err, fileutil.ErrLocked) {
		return nil, fmt.Errorf("etcd: %s: %w", dir, ErrInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("etcd: lock data folder: %w", err)
	}
	return locked, nil
}

// setAsideUnfinished moves away the member of a first start that never became ready. etcd cannot go on with it: killed between
// making its log and writing its first entry, a member restarts without voters and waits for a leader for ever. Nothing is
// lost, because no client is handed out before the server is ready.
func setAsideUnfinished(dir string) error {
	_, err := os.Stat(filepath.Join(dir, finishedFile))
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("etcd: read data folder: %w", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, unfinishedFolder)); err != nil {
		return fmt.Errorf("etcd: clear unfinished member: %w", err)
	}
	err = os.Rename(filepath.Join(dir, memberFolder), filepath.Join(dir, unfinishedFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("etcd: set unfinished member aside: %w", err)
	}
	return nil
}

// markFinished records durably that the member of this folder can be gone on with.
func markFinished(dir string) error {
	path := filepath.Join(dir, finishedFile)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
