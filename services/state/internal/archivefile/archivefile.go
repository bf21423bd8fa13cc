// Package archivefile keeps archived runs, each in a file of its own: a zstd stream of signalbox.state.v1.ArchiveRecord.
package archivefile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// Folder is the archive in a folder. It implements core.ArchiveFiles.
type Folder struct {
	dir  string
	disk disk
	// writing is held while a file is written: the encoder is used again and again.
	writing sync.Mutex
	encoder *zstd.Encoder
	drafts  uint64
	// known are folders whose own names this process has made durable.
	known map[string]bool
}

// draftFolder holds files that are not finished. No namespace has a folder of this name.
const draftFolder = ".drafts"

// Open opens the archive in a folder, which is made when the first run is archived, and removes what a crash left unfinished.
func Open(dir string) (*Folder, error) { return open(dir, osDisk{}) }

func open(dir string, d disk) (*Folder, error) {
	if err := d.removeAll(filepath.Join(dir, draftFolder)); err != nil {
		return nil, err
	}
	// One run is written at a time, and few are larger than the window, so that the encoder is kept small.
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	return &Folder{dir: dir, disk: d, encoder: encoder, known: map[string]bool{}}, nil
}

// Write implements core.ArchiveFiles. The file gets its name when it is whole, on the disk, and has been read again.
func (f *Folder) Write(
	ctx context.Context, name string, header core.ArchiveHeader, content func(add func(core.ArchiveRecord) error) error,
) (size uint64, err error) {
	f.writing.Lock()
	defer f.writing.Unlock()
	f.drafts++
	draft := filepath.Join(f.dir, draftFolder, strconv.FormatUint(f.drafts, 10))
	if err := f.disk.mkdirAll(filepath.Dir(draft)); err != nil {
		return 0, err
	}
	if size, err = f.write(draft, header, content); err == nil {
		err = f.read(ctx, draft, func(core.ArchiveRecord) error { return nil })
	}
	if err != nil {
		return 0, errors.Join(err, f.disk.remove(draft))
	}
	return size, f.publish(draft, filepath.Join(f.dir, filepath.FromSlash(name)))
}

func (f *Folder) write(draft string, header core.ArchiveHeader, content func(add func(core.ArchiveRecord) error) error) (
	size uint64, err error,
) {
	file, err := f.disk.create(draft)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	counted := &counter{to: file}
	f.encoder.Reset(counted)
	w := newWriter(f.encoder)
	if err := w.header(header); err != nil {
		return 0, err
	}
	if err := content(w.record); err != nil {
		return 0, err
	}
	if err := w.trailer(); err != nil {
		return 0, err
	}
	if err := f.encoder.Close(); err != nil {
		return 0, err
	}
	return counted.n, file.Sync()
}

// publish gives a finished file its name, and makes durable every name on the way to it.
func (f *Folder) publish(draft, path string) error {
	folder := filepath.Dir(path)
	if err := f.disk.mkdirAll(folder); err != nil {
		return err
	}
	if err := f.disk.rename(draft, path); err != nil {
		return err
	}
	if err := f.sync(folder); err != nil {
		return err
	}
	for ; folder != filepath.Dir(f.dir) && !f.known[folder]; folder = filepath.Dir(folder) {
		if err := f.sync(filepath.Dir(folder)); err != nil {
			return err
		}
		f.remember(folder)
	}
	return nil
}

func (f *Folder) sync(folder string) error {
	if err := f.disk.syncFolder(folder); err != nil {
		return fmt.Errorf("sync folder %s: %w", folder, err)
	}
	return nil
}

// mostKnown bounds what is remembered; to forget only costs syncs.
const mostKnown = 1000

func (f *Folder) remember(folder string) {
	if len(f.known) >= mostKnown {
		clear(f.known)
	}
	f.known[folder] = true
}

// Read implements core.ArchiveFiles.
func (f *Folder) Read(ctx context.Context, name string, yield func(core.ArchiveRecord) error) error {
	err := f.read(ctx, filepath.Join(f.dir, filepath.FromSlash(name)), yield)
	if errors.Is(err, fs.ErrNotExist) {
		return core.ArchiveFileMissing(name)
	}
	return err
}

func (f *Folder) read(ctx context.Context, path string, yield func(core.ArchiveRecord) error) error {
	file, err := f.disk.open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	decoder, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		return err
	}
	defer decoder.Close()
	broken := false
	err = readRecords(decoder, func(r core.ArchiveRecord) error {
		err := errors.Join(ctx.Err(), yield(r))
		broken = err != nil
		return err
	})
	if err != nil && !broken {
		err = fmt.Errorf("archive file %s: %w", filepath.Base(path), err)
	}
	return err
}

// counter counts what is written.
type counter struct {
	to io.Writer
	n  uint64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += uint64(n)
	return n, err
}
