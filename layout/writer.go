package layout

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
)

// Modes of what a Layout creates, before the umask.
const (
	dirMode  fs.FileMode = 0o755
	fileMode fs.FileMode = 0o644
)

// ingestPrefix begins the names of directories for files that are not complete.
const ingestPrefix = ".ingest-"

// writer is the part of a Layout that writes.
type writer struct {
	dir    *dir
	ingest string   // the directory for temporary files
	held   *os.File // ingest, locked, so that no other process removes it
	// private is set if no other process uses the directory and it need not survive a loss of power:
	// that of an archive. index.json is then written by Close.
	private bool
	packer  *packer // for an archive

	uploads map[string]*upload // guarded by Layout.mu
}

// createDir opens a directory, or creates it.
func (l *Layout) createDir(path string) error {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return errors.New("it exists and is no directory")
	}
	if err := os.MkdirAll(path, dirMode); err != nil {
		return err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	w := &writer{dir: &dir{root: root}, uploads: map[string]*upload{}}
	if err := w.begin(); err != nil {
		_ = root.Close()
		return err
	}
	l.pool, l.writer = w.dir, w
	if _, err := l.current(); err != nil {
		_ = l.end(false)
		return err
	}
	return nil
}

// begin makes the directory a layout unless it is one, under its lock.
func (w *writer) begin() error {
	unlock, err := w.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := w.makeIngest(); err != nil {
		return err
	}
	err = w.initialize()
	if err != nil {
		w.removeIngest()
	}
	return err
}

// initialize writes the files of an empty layout, oci-layout last.
func (w *writer) initialize() error {
	err := w.dir.checkVersion()
	if _, lerr := w.dir.lstat(layoutFile); !errors.Is(lerr, fs.ErrNotExist) {
		return err
	}
	names, err := w.list()
	if err != nil {
		return err
	}
	hasIndex := false
	for _, name := range names {
		hasIndex = hasIndex || name == indexFile
		if name != indexFile && name != blobsDir && !isRandomName(name, ingestPrefix) {
			return errors.New("the directory has files and is no OCI image layout")
		}
	}
	if err := w.dir.root.MkdirAll(blobsDir+"/sha256", dirMode); err != nil {
		return err
	}
	if !hasIndex {
		if err := w.write(indexFile, newIndex().encode()); err != nil {
			return err
		}
	}
	return w.write(layoutFile, []byte(`{"imageLayoutVersion":"`+ocispec.ImageLayoutVersion+`"}`))
}

// lock takes the lock of the directory, which all programs with this package share.
func (w *writer) lock() (unlock func(), err error) {
	if w.private {
		return func() {}, nil
	}
	f, err := w.dir.root.Open(".")
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// list returns the names in the directory.
func (w *writer) list() ([]string, error) {
	f, err := w.dir.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// makeIngest creates the directory for temporary files, and removes those of processes that have
// ended.
func (w *writer) makeIngest() error {
	names, err := w.list()
	if err != nil {
		return err
	}
	for _, name := range names {
		if isRandomName(name, ingestPrefix) {
			sweep(w.dir.root, name)
		}
	}
	w.ingest = randomName(ingestPrefix)
	if err := w.dir.root.Mkdir(w.ingest, dirMode); err != nil {
		return err
	}
	if w.held, err = w.dir.root.Open(w.ingest); err != nil {
		return err
	}
	_ = tryLock(w.held) // without a lock, nothing is swept
	return nil
}

// randomName returns a new name that begins with prefix.
func randomName(prefix string) string { return prefix + strings.ToLower(rand.Text()) }

// isRandomName reports whether randomName may have returned a name, so that nothing else is swept.
func isRandomName(name, prefix string) bool {
	text, ok := strings.CutPrefix(name, prefix)
	return ok && len(text) == len(rand.Text()) && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// sweep removes a directory unless a process has it locked.
func sweep(root *os.Root, name string) {
	if info, err := root.Lstat(name); err != nil || !info.IsDir() {
		return
	}
	f, err := root.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	if tryLock(f) {
		_ = root.RemoveAll(name) // the next Create tries again
	}
}

func (w *writer) removeIngest() {
	_ = w.dir.root.RemoveAll(w.ingest) // the next Create tries again
	if w.held != nil {
		_ = w.held.Close()
	}
}

// temp opens a new temporary file.
func (w *writer) temp() (*os.File, string, error) {
	name := randomName(w.ingest + "/")
	f, err := w.dir.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	return f, name, full(err)
}

// write replaces a file.
func (w *writer) write(name string, content []byte) error {
	f, err := w.replace(name, content)
	if err != nil {
		return err
	}
	return f.Close()
}

// replace replaces a file, and returns the open file.
func (w *writer) replace(name string, content []byte) (*os.File, error) {
	f, temp, err := w.temp()
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(content); err == nil {
		err = w.install(f, temp, name)
	}
	if err != nil {
		_ = f.Close()
		_ = w.dir.root.Remove(temp) // Close removes it otherwise
		return nil, full(err)
	}
	return f, nil
}

// install makes a temporary file durable and gives it its name.
func (w *writer) install(f *os.File, temp, name string) error {
	if !w.private {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return w.dir.rename(temp, name, !w.private)
}

// full returns registry.ErrNoSpace for an error that means it.
func full(err error) error {
	if isFull(err) {
		return registry.ErrNoSpace.WithCause(err)
	}
	return err
}

// current returns the present index.json. The caller holds l.mu.
func (l *Layout) current() (*index, error) {
	if l.writer != nil && l.writer.private && l.index != nil {
		return l.index, nil
	}
	var last stamp
	if l.index != nil {
		last = l.index.stamp
	}
	content, now, err := l.pool.load(last, l.opts.MaxIndexSize)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", indexFile, err)
	}
	if content == nil {
		return l.index, nil
	}
	l.index = nil
	x, err := parseIndex(content, l.opts.Repository, l.opts.MaxManifests)
	if err != nil {
		now.release()
		return nil, fmt.Errorf("%s: %w", indexFile, err)
	}
	x.stamp = now
	l.index = x
	return x, nil
}

// change changes index.json. f reports whether it has changed anything; if it returns an error, it
// has changed nothing. The directory is locked meanwhile.
func (l *Layout) change(f func(x *index) (bool, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.writer
	if _, ok := l.pool.(closed); ok {
		return errClosed
	}
	unlock, err := w.lock()
	if err != nil {
		return err
	}
	defer unlock()
	x, err := l.current()
	if err != nil {
		return err
	}
	changed, err := f(x)
	if !changed || err != nil || w.private {
		return err
	}
	if err := l.save(x); err != nil {
		x.stamp.release()
		l.index = nil // it must be read again
		return err
	}
	return nil
}

// errIndexFull is returned when index.json would exceed a limit, so that it could not be read
// again.
var errIndexFull = registry.ErrNoSpace.WithMessage("index.json exceeds MaxIndexSize or MaxManifests of the layout")

// save writes index.json.
func (l *Layout) save(x *index) error {
	content := x.encode()
	if int64(len(content)) > l.opts.MaxIndexSize {
		return errIndexFull
	}
	if _, now, err := l.pool.load(x.stamp, l.opts.MaxIndexSize); err != nil || !now.same(x.stamp) {
		if err == nil {
			now.release()
			err = errors.New("another program has changed index.json without the lock")
		}
		return registry.ErrUnavailable.WithCause(err)
	}
	f, err := l.writer.replace(indexFile, content)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return err
	}
	x.stamp.release()
	x.stamp = &dirStamp{f, info}
	return nil
}

// finish ends the writing.
func (l *Layout) finish(complete bool) error {
	w := l.writer
	w.removeIngest()
	if w.packer == nil {
		return nil
	}
	return w.packer.finish(l, complete)
}

var _ io.Closer = (*Layout)(nil)
