package archivefile

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
)

// errPower is what every operation gets once the power has gone.
var errPower = errors.New("the power has gone")

// lossyDisk is a file system in memory that knows what a loss of power would leave: of a file the bytes that were synced, and of a folder the
// names that were there when it was synced last. Removals are forgotten at once.
type lossyDisk struct {
	names, durable map[string]*lossyFile // by path; a folder has no file
	// left is the number of operations until the power goes; negative: it stays.
	left int
}

type lossyFile struct{ data, durable []byte }

func newLossyDisk() *lossyDisk {
	return &lossyDisk{names: map[string]*lossyFile{}, durable: map[string]*lossyFile{}, left: -1}
}

func (d *lossyDisk) step() error {
	if d.left == 0 {
		return errPower
	}
	d.left--
	return nil
}

// afterPowerLoss is the disk as it is found later. With some, names that were not synced may have survived, as disks write in any order.
func (d *lossyDisk) afterPowerLoss(some *rand.Rand) *lossyDisk {
	kept := maps.Clone(d.durable)
	for path, file := range d.names {
		if some != nil && some.IntN(2) == 0 {
			kept[path] = file
		}
	}
	found := newLossyDisk()
	for path, file := range kept {
		if !d.reachable(path, kept) {
			continue
		}
		if file != nil {
			file = &lossyFile{data: bytes.Clone(file.durable), durable: bytes.Clone(file.durable)}
		}
		found.names[path], found.durable[path] = file, file
	}
	return found
}

func (d *lossyDisk) reachable(path string, names map[string]*lossyFile) bool {
	for folder := filepath.Dir(path); folder != "/"; folder = filepath.Dir(folder) {
		if _, ok := names[folder]; !ok {
			return false
		}
	}
	return true
}

func (d *lossyDisk) mkdirAll(dir string) error {
	if err := d.step(); err != nil {
		return err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		d.names[dir] = nil
	}
	return nil
}

func (d *lossyDisk) create(path string) (draft, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	file := &lossyFile{}
	d.names[path] = file
	return &lossyDraft{disk: d, file: file}, nil
}

func (d *lossyDisk) open(path string) (io.ReadCloser, error) {
	file := d.names[path]
	if file == nil {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(file.data)), nil
}

func (d *lossyDisk) rename(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	d.names[to] = d.names[from]
	delete(d.names, from)
	return nil
}

func (d *lossyDisk) syncFolder(dir string) error {
	if err := d.step(); err != nil {
		return err
	}
	for path, file := range d.names {
		if filepath.Dir(path) == dir {
			d.durable[path] = file
		}
	}
	return nil
}

func (d *lossyDisk) remove(path string) error {
	delete(d.names, path)
	delete(d.durable, path)
	return d.step()
}

func (d *lossyDisk) removeAll(dir string) error {
	gone := func(path string, _ *lossyFile) bool { return path == dir || strings.HasPrefix(path, dir+"/") }
	maps.DeleteFunc(d.names, gone)
	maps.DeleteFunc(d.durable, gone)
	return nil
}

type lossyDraft struct {
	disk *lossyDisk
	file *lossyFile
}

func (f *lossyDraft) Write(p []byte) (int, error) {
	if err := f.disk.step(); err != nil {
		return 0, err
	}
	f.file.data = append(f.file.data, p...)
	return len(p), nil
}

func (f *lossyDraft) Sync() error {
	if err := f.disk.step(); err != nil {
		return err
	}
	f.file.durable = bytes.Clone(f.file.data)
	return nil
}

func (f *lossyDraft) Close() error { return nil }
