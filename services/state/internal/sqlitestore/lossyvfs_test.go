package sqlitestore

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// lossyDisk stands between SQLite and the operating system's file layer. It remembers of each file what was written, and what of that a
// successful sync has made durable, so that it can show the disk as a loss of power would leave it. It can also fail syncs.
type lossyDisk struct {
	mu        sync.Mutex
	files     map[string]*lossyFile
	open      map[uintptr]openFile
	failSyncs bool
	syncs     int
	bytes     int64
}

// lossyFile is one file: what is durable, and the changes since.
type lossyFile struct {
	durable []byte
	exists  bool // a sync has made it so
	pending []change
	applied int // number of changes that are no longer pending
}

// openFile is a file handle of SQLite's, with the functions of the underlying layer.
type openFile struct {
	*lossyFile
	methods *sqlite3.Tsqlite3_io_methods
}

// change is a write, or a truncation when data is nil.
type change struct {
	offset int64
	data   []byte
}

func (f *lossyFile) image(changes []change) []byte {
	image := append([]byte(nil), f.durable...)
	for _, c := range changes {
		end := c.offset + int64(len(c.data))
		if c.data == nil {
			image = image[:min(c.offset, int64(len(image)))]
			continue
		}
		if grow := end - int64(len(image)); grow > 0 {
			image = append(image, make([]byte, grow)...)
		}
		copy(image[c.offset:], c.data)
	}
	return image
}

// disk is the one in use; SQLite knows file layers by functions, which have no place for more.
var disk *lossyDisk

var (
	// underlying is the operating system's file layer.
	underlying *sqlite3.Tsqlite3_vfs
	// ourMethods are copies of its tables of functions with ours put in, by the original's address.
	ourMethods    = map[uintptr]uintptr{}
	registerLossy sync.Once
)

const lossyName = "lossy"

// useLossyDisk gives the test an empty disk.
func useLossyDisk(t *testing.T) *lossyDisk {
	t.Helper()
	registerLossy.Do(func() {
		tls := libc.NewTLS()
		sqlite3.Xsqlite3_initialize(tls)
		original := sqlite3.Xsqlite3_vfs_find(tls, 0)
		underlying = at[sqlite3.Tsqlite3_vfs](original)
		size := unsafe.Sizeof(sqlite3.Tsqlite3_vfs{})
		ours := libc.Xmalloc(tls, libc.Tsize_t(size))
		vfs := at[sqlite3.Tsqlite3_vfs](ours)
		*vfs = *underlying
		name, err := libc.CString(lossyName)
		if err != nil {
			t.Fatal(err)
		}
		vfs.FzName, vfs.FpNext, vfs.FxOpen, vfs.FxDelete = name, 0, pointer(lossyOpen), pointer(lossyDelete)
		if rc := sqlite3.Xsqlite3_vfs_register(tls, ours, 0); rc != 0 {
			t.Fatalf("register the file layer: %d", rc)
		}
	})
	disk = &lossyDisk{files: map[string]*lossyFile{}, open: map[uintptr]openFile{}}
	return disk
}

// pointer returns a function as C code translated to Go holds it.
func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&struct{ f F }{f})) }

// function is the inverse of pointer.
func function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&struct{ p uintptr }{p})) }

// at returns what stands at an address of memory that is not Go's.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

type (
	openFunction     = func(tls *libc.TLS, vfs, path, file uintptr, flags int32, outFlags uintptr) int32
	deleteFunction   = func(tls *libc.TLS, vfs, path uintptr, syncFolder int32) int32
	writeFunction    = func(tls *libc.TLS, file, data uintptr, n int32, offset int64) int32
	truncateFunction = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunction     = func(tls *libc.TLS, file uintptr, flags int32) int32
	closeFunction    = func(tls *libc.TLS, file uintptr) int32
)

func lossyOpen(tls *libc.TLS, vfs, path, file uintptr, flags int32, outFlags uintptr) int32 {
	rc := function[openFunction](underlying.FxOpen)(tls, vfs, path, file, flags, outFlags)
	opened := at[sqlite3.Tsqlite3_file](file)
	if rc != 0 || opened.FpMethods == 0 || path == 0 {
		return rc
	}
	disk.mu.Lock()
	defer disk.mu.Unlock()
	methods := at[sqlite3.Tsqlite3_io_methods](opened.FpMethods)
	if ourMethods[opened.FpMethods] == 0 {
		copied := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*methods)))
		ours := at[sqlite3.Tsqlite3_io_methods](copied)
		*ours = *methods
		ours.FxWrite, ours.FxTruncate = pointer(lossyWrite), pointer(lossyTruncate)
		ours.FxSync, ours.FxClose = pointer(lossySync), pointer(lossyClose)
		ourMethods[opened.FpMethods] = copied
	}
	opened.FpMethods = ourMethods[opened.FpMethods]
	name := libc.GoString(path)
	if disk.files[name] == nil {
		disk.files[name] = &lossyFile{}
	}
	disk.open[file] = openFile{disk.files[name], methods}
	return rc
}

// lossyDelete takes a removal as durable at once: file systems with a journal keep the order of removals and later syncs, and SQLite, with
// its rollback journal, relies on that while it makes the database.
func lossyDelete(tls *libc.TLS, vfs, path uintptr, syncFolder int32) int32 {
	rc := function[deleteFunction](underlying.FxDelete)(tls, vfs, path, syncFolder)
	if rc == 0 {
		disk.mu.Lock()
		defer disk.mu.Unlock()
		delete(disk.files, libc.GoString(path))
	}
	return rc
}

func lossyWrite(tls *libc.TLS, file, data uintptr, n int32, offset int64) int32 {
	rc := function[writeFunction](disk.handle(file).methods.FxWrite)(tls, file, data, n, offset)
	if rc == 0 {
		written := append([]byte{}, unsafe.Slice(at[byte](data), n)...)
		disk.changed(file, change{offset, written})
	}
	return rc
}

func lossyTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	rc := function[truncateFunction](disk.handle(file).methods.FxTruncate)(tls, file, size)
	if rc == 0 {
		disk.changed(file, change{size, nil})
	}
	return rc
}

func (d *lossyDisk) handle(file uintptr) openFile {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open[file]
}

func (d *lossyDisk) changed(file uintptr, c change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.open[file]
	f.pending = append(f.pending, c)
	d.bytes += int64(len(c.data))
}

// lossySync makes durable what was written before it began.
func lossySync(tls *libc.TLS, file uintptr, flags int32) int32 {
	disk.mu.Lock()
	f, fail := disk.open[file], disk.failSyncs
	target := f.applied + len(f.pending)
	disk.mu.Unlock()
	if fail {
		return sqlite3.SQLITE_IOERR_FSYNC
	}
	rc := function[syncFunction](f.methods.FxSync)(tls, file, flags)
	if rc == 0 {
		disk.mu.Lock()
		defer disk.mu.Unlock()
		f.exists = true
		disk.syncs++
		if n := target - f.applied; n > 0 { // another connection may have synced the same file meanwhile
			f.durable, f.applied = f.image(f.pending[:n]), target
			f.pending = append([]change(nil), f.pending[n:]...)
		}
	}
	return rc
}

func lossyClose(tls *libc.TLS, file uintptr) int32 {
	f := disk.handle(file)
	disk.mu.Lock()
	delete(disk.open, file)
	disk.mu.Unlock()
	return function[closeFunction](f.methods.FxClose)(tls, file)
}

// powerLoss writes the files as they would be found now into a folder. Each change since the last sync of its file is lost, or with some,
// kept at random: disks write in any order.
func (d *lossyDisk) powerLoss(t *testing.T, dir string, some *rand.Rand) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, f := range d.files {
		var kept []change
		for _, c := range f.pending {
			if some != nil && some.IntN(2) == 0 {
				kept = append(kept, c)
			}
		}
		if !f.exists && len(kept) == 0 {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), f.image(kept), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (d *lossyDisk) setFailSyncs(fail bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failSyncs = fail
}

func (d *lossyDisk) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Sprintf("%d files, %d syncs", len(d.files), d.syncs)
}

func (d *lossyDisk) syncCount() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

// written is the number of bytes that were written so far.
func (d *lossyDisk) written() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bytes
}
