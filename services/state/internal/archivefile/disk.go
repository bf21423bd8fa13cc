package archivefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// disk is what the archive asks of the file system; tests put one in that loses what was not synced.
type disk interface {
	mkdirAll(dir string) error
	create(path string) (draft, error)
	open(path string) (io.ReadCloser, error)
	rename(from, to string) error
	syncFolder(dir string) error
	remove(path string) error
	removeAll(dir string) error
}

// draft is a file that is being written.
type draft interface {
	io.WriteCloser
	Sync() error
}

// osDisk is the operating system's.
type osDisk struct{}

func (osDisk) mkdirAll(dir string) error               { return os.MkdirAll(dir, 0o700) }
func (osDisk) open(path string) (io.ReadCloser, error) { return os.Open(path) }
func (osDisk) rename(from, to string) error            { return os.Rename(from, to) }
func (osDisk) removeAll(dir string) error              { return os.RemoveAll(dir) }

func (osDisk) create(path string) (draft, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}

func (osDisk) remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (osDisk) syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
