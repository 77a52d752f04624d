package test

import (
	"context"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// forgetful is a disk that can lose its power and can fail. It is a file system in memory
// (FUSE) which knows of each file what was synced and what was only written: after a power
// cut the former is there, and of the latter any part, torn at sectors and in any order.
// A name is on disk when its directory was synced, as POSIX has it. It has one directory.
//
// This process serves it, so nothing here may open a file on it: should the tests end at that moment, the
// process would wait for itself. They look at it through load, save and size.
type forgetful struct {
	t      *testing.T
	dir    string
	server *fuse.Server

	mu     sync.Mutex
	names  map[string]*diskFile // as the system shows them
	onDisk map[string]*diskFile // as they are on the disk
	moved  []naming             // what happened to names since
	off    bool                 // there is no power: nothing works any more
	// fault is asked before each operation on a file – open, read, write, sync – how much of
	// it to do and what to answer then; nil is a good disk.
	fault  func(op, name string, size int) (n int, errno syscall.Errno)
	failed int // so often
}

// naming is a file that got a name, or a name that went (nil).
type naming struct {
	name string
	file *diskFile
}

// diskFile is a file.
type diskFile struct {
	mode    uint32
	data    []byte   // as the system shows it
	disk    []byte   // what is surely on the disk
	written []change // since the last sync
}

// change is bytes that were written, or (nil) the length of a file that was cut or grew.
type change struct {
	at   int
	data []byte
}

// newForgetful mounts an empty one. It needs /dev/fuse and the right to mount.
func newForgetful(t *testing.T) *forgetful {
	t.Helper()
	d := &forgetful{t: t, dir: t.TempDir(), names: map[string]*diskFile{}, onDisk: map[string]*diskFile{}}
	if err := d.mount(); err != nil {
		t.Skipf("no file system can be mounted here (/dev/fuse, as root): %v", err)
	}
	t.Cleanup(d.unmount)
	return d
}

func (d *forgetful) mount() (err error) {
	options := &fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "forgetful", Name: "forgetful", MaxWrite: 128 << 10}}
	d.server, err = fs.Mount(d.dir, &diskRoot{d: d}, options)
	return err
}

func (d *forgetful) unmount() {
	var err error
	for range 200 { // a process that was killed may not have let go yet
		if err = d.server.Unmount(); err == nil {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	d.t.Errorf("unmount: %v", err)
	if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil {
		d.t.Errorf("detach: %v", err)
	}
}

// load puts the files of a directory on the disk, which is mounted anew.
func (d *forgetful) load(from string) {
	d.t.Helper()
	d.unmount()
	entries, err := os.ReadDir(from)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			d.t.Fatal(err)
		}
		f := &diskFile{mode: 0o600, data: raw, disk: slices.Clone(raw)}
		d.names[e.Name()], d.onDisk[e.Name()] = f, f
	}
	if err := d.mount(); err != nil {
		d.t.Fatal(err)
	}
}

// save writes what is visible now into a directory: what a process that was killed leaves.
func (d *forgetful) save(to string) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, f := range d.names {
		if err := os.WriteFile(filepath.Join(to, name), f.data, 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
}

// size of a file, as it is visible.
func (d *forgetful) size(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.names[name]; f != nil {
		return len(f.data)
	}
	return 0
}

// cut takes the power away. What runs on the disk is to be killed before it comes back.
func (d *forgetful) cut() {
	d.mu.Lock()
	d.off = true
	d.mu.Unlock()
}

// restore brings the power back, with what was on the disk: of what was not synced any part, or nothing
// when random is nil.
func (d *forgetful) restore(random *rand.Rand) {
	d.t.Helper()
	d.unmount()
	d.mu.Lock()
	part := 0.0
	if random != nil {
		part = []float64{0, 0.5, 0.95, 1}[random.IntN(4)]
		for _, m := range d.moved[:random.IntN(len(d.moved)+1)] { // the journal of a file system has an order
			rename(d.onDisk, m)
		}
	}
	d.names, d.moved, d.off = maps.Clone(d.onDisk), nil, false
	for _, f := range d.names {
		f.forget(func() bool { return part > 0 && random.Float64() < part })
	}
	d.mu.Unlock()
	if err := d.mount(); err != nil {
		d.t.Fatal(err)
	}
}

// forget leaves of what was not synced what stays by chance.
func (f *diskFile) forget(stays func() bool) {
	const sector = 512
	for _, c := range f.written {
		if c.data == nil {
			if stays() {
				f.disk = put(f.disk, c)
			}
			continue
		}
		for at := 0; at < len(c.data); {
			n := min(sector-(c.at+at)%sector, len(c.data)-at)
			if stays() {
				f.disk = put(f.disk, change{c.at + at, c.data[at : at+n]})
			}
			at += n
		}
	}
	f.written, f.data = nil, slices.Clone(f.disk)
}

// put makes a change.
func put(b []byte, c change) []byte {
	end := c.at + len(c.data)
	if len(b) < end {
		b = append(b, make([]byte, end-len(b))...)
	}
	if c.data == nil {
		return b[:c.at]
	}
	copy(b[c.at:], c.data)
	return b
}

func rename(names map[string]*diskFile, m naming) {
	if m.file == nil {
		delete(names, m.name)
	} else {
		names[m.name] = m.file
	}
}

// fail makes the disk answer so from now on; nil makes it a good one.
func (d *forgetful) fail(fault func(op, name string, size int) (int, syscall.Errno)) {
	d.mu.Lock()
	d.fault = fault
	d.mu.Unlock()
}

// ask says how much of an operation is to be done. The caller holds the lock.
func (d *forgetful) ask(op, name string, size int) (int, syscall.Errno) {
	if d.off {
		return 0, syscall.EIO
	}
	if d.fault == nil {
		return size, 0
	}
	n, errno := d.fault(op, name, size)
	if errno != 0 || n < size {
		d.failed++
	}
	return n, errno
}

// failures is how often the disk has failed.
func (d *forgetful) failures() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// name gives a file a name, or takes it away.
func (d *forgetful) name(m naming) {
	rename(d.names, m)
	d.moved = append(d.moved, m)
}

// diskRoot is the directory.
type diskRoot struct {
	fs.Inode
	d *forgetful
}

// OnAdd shows what is on the disk, after it was mounted.
func (r *diskRoot) OnAdd(ctx context.Context) {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	for name, f := range r.d.names {
		r.AddChild(name, r.NewPersistentInode(ctx, &diskNode{d: r.d, f: f, name: name}, fs.StableAttr{Mode: syscall.S_IFREG}), false)
	}
}

func (r *diskRoot) Create(ctx context.Context, name string, _ uint32, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	if _, errno := r.d.ask("open", name, 0); errno != 0 {
		return nil, nil, 0, errno
	}
	n := &diskNode{d: r.d, f: &diskFile{mode: mode & 0o777}, name: name}
	r.d.name(naming{name, n.f})
	n.attr(&out.Attr)
	return r.NewPersistentInode(ctx, n, fs.StableAttr{Mode: syscall.S_IFREG}), nil, n.how(), 0
}

func (r *diskRoot) Unlink(_ context.Context, name string) syscall.Errno {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	if r.d.off {
		return syscall.EIO
	}
	r.d.name(naming{name, nil})
	return 0
}

func (r *diskRoot) Rename(_ context.Context, name string, _ fs.InodeEmbedder, to string, flags uint32) syscall.Errno {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	if r.d.off || flags != 0 {
		return syscall.EIO
	}
	f := r.d.names[name]
	r.d.name(naming{to, f})
	r.d.name(naming{name, nil})
	return 0
}

// Link gives a file another name.
func (r *diskRoot) Link(_ context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	n := target.(*diskNode)
	if r.d.off {
		return nil, syscall.EIO
	}
	if r.d.names[name] != nil {
		return nil, syscall.EEXIST
	}
	r.d.name(naming{name, n.f})
	n.attr(&out.Attr)
	return n.EmbeddedInode(), 0
}

// Fsync brings the names to the disk.
func (r *diskRoot) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	if r.d.off {
		return syscall.EIO
	}
	r.d.onDisk, r.d.moved = maps.Clone(r.d.names), nil
	return 0
}

// diskNode is a file in the directory.
type diskNode struct {
	fs.Inode
	d    *forgetful
	f    *diskFile
	name string
}

func (n *diskNode) attr(out *fuse.Attr) {
	out.Mode, out.Size, out.Nlink, out.Blksize = syscall.S_IFREG|n.f.mode, uint64(len(n.f.data)), 1, 4096
}

// how a file is opened: without the system's cache, so that every read and write comes here;
// but what processes map into their memory must be in it.
func (n *diskNode) how() uint32 {
	if strings.HasSuffix(n.name, "-shm") {
		return 0
	}
	return fuse.FOPEN_DIRECT_IO
}

func (n *diskNode) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	_, errno := n.d.ask("open", n.name, 0)
	return nil, n.how(), errno
}

func (n *diskNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	n.attr(&out.Attr)
	return 0
}

func (n *diskNode) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	if n.d.off {
		return syscall.EIO
	}
	if mode, ok := in.GetMode(); ok {
		n.f.mode = mode & 0o777
	}
	if size, ok := in.GetSize(); ok {
		n.change(change{at: int(size)})
	}
	n.attr(&out.Attr)
	return 0
}

func (n *diskNode) change(c change) {
	n.f.data = put(n.f.data, c)
	n.f.written = append(n.f.written, c)
}

func (n *diskNode) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	size, errno := n.d.ask("read", n.name, len(dest))
	if errno != 0 {
		return nil, errno
	}
	at := min(int(off), len(n.f.data))
	return fuse.ReadResultData(append([]byte(nil), n.f.data[at:min(at+size, len(n.f.data))]...)), 0
}

func (n *diskNode) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	size, errno := n.d.ask("write", n.name, len(data))
	if errno != 0 {
		return 0, errno
	}
	if size > 0 { // no bytes would be a length
		n.change(change{int(off), append([]byte(nil), data[:size]...)})
	}
	return uint32(size), 0
}

// Fsync brings a file to the disk. When that fails, what was written stays visible and
// never gets there: the system has dropped it and says so once.
func (n *diskNode) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	_, errno := n.d.ask("sync", n.name, 0)
	if errno == 0 {
		for _, c := range n.f.written {
			n.f.disk = put(n.f.disk, c)
		}
	}
	if !n.d.off {
		n.f.written = nil
	}
	return errno
}

// Flush is that a process closed the file, which syncs nothing.
func (n *diskNode) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

// A power cut takes more than a kill: what was written and not synced. What was acknowledged
// is there all the same.
func TestCrashOfThePowerLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	disk, filled := newForgetful(t), t.TempDir()
	h := newHarm(t, t.TempDir(), disk.dir)
	h.fillOld(filled)
	disk.load(filled)
	h.kill = func() {
		disk.cut()
		h.p.kill()
		disk.restore(h.random)
	}
	h.look = func() string {
		copied := t.TempDir()
		disk.save(copied)
		return filepath.Join(copied, "sigpost.db")
	}
	h.logSize = func() int { return disk.size("sigpost.db-wal") }
	h.rounds((crashRounds(t) + 1) / 2) // each takes twice as long
}
