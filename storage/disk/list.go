//go:build linux || darwin

package disk

import (
	"context"
	"errors"
	"iter"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// List implements [driver.Driver]. It walks the directories in order and starts at opts.After. It
// reads all names of a directory at once, so its memory is proportional to the largest directory.
func (d *Driver) List(ctx context.Context, prefix string, opts *driver.ListOptions) iter.Seq2[driver.Info, error] {
	if opts == nil {
		opts = &driver.ListOptions{}
	}
	return func(yield func(driver.Info, error) bool) {
		if !driver.ValidPrefix(prefix) {
			yield(driver.Info{}, failure("list", prefix, driver.ErrKey))
			return
		}
		if d.closed.Load() {
			yield(driver.Info{}, failure("list", prefix, errClosed))
			return
		}
		w := walk{d: d, ctx: ctx, after: encode(opts.After), keysOnly: opts.KeysOnly, yield: yield}
		if _, err := w.dir(keyPath(strings.TrimSuffix(prefix, "/")), encode(prefix)); err != nil {
			yield(driver.Info{}, failure("list", prefix, err))
		}
	}
}

// walk is the state of one List.
type walk struct {
	d        *Driver
	ctx      context.Context
	after    string // encoded
	keysOnly bool
	yield    func(driver.Info, error) bool
}

// dir yields the objects in the directory at path, whose encoded keys all begin with prefix. It
// reports whether the consumer wants more.
func (w *walk) dir(path, prefix string) (more bool, err error) {
	rest, past := w.rest(prefix)
	if past {
		return true, nil
	}
	n, err := w.d.names(w.ctx, path)
	if n == nil || err != nil {
		return err == nil, err
	}
	remainders := isCut(base(path))
	if path != "" {
		path += "/"
	}
	c, i := n.seek(rest, remainders)
	for ; c < len(n.chunks); c, i = c+1, 0 {
		for _, e := range n.chunks[c][i:] {
			full := prefix + piece(e, remainders)
			if isDirectory(e) {
				more, err = w.dir(path+fileName(e), full)
			} else {
				more, err = w.file(path+e, full)
			}
			if !more || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// rest returns the part of w.after below prefix. past is true if every key below prefix is less
// than w.after.
func (w *walk) rest(prefix string) (rest string, past bool) {
	if rest, ok := strings.CutPrefix(w.after, prefix); ok {
		return rest, false
	}
	return "", w.after > prefix
}

// seek returns the position of the first entry that is greater than rest, or that has keys below it
// that are greater.
func (n *names) seek(rest string, remainders bool) (c, i int) {
	if rest == "" {
		return 0, 0
	}
	if remainders {
		rest = string(partMark) + rest
	}
	c, i, ok := n.search(rest)
	// A directory with keys that begin like rest is right before the place where rest would be.
	if !ok && i > 0 {
		if e := n.chunks[c][i-1]; isDirectory(e) && strings.HasPrefix(rest, piece(e, false)) {
			i--
		}
	}
	return c, i
}

// file yields the object at path.
func (w *walk) file(path, enc string) (more bool, err error) {
	if err := w.ctx.Err(); err != nil {
		return false, err
	}
	key, ok := decode(enc)
	if !ok || enc <= w.after {
		return true, nil
	}
	if w.keysOnly {
		return w.yield(driver.Info{Key: key}, nil), nil
	}
	var st syscall.Stat_t
	switch err := w.d.object(path, &st); {
	case errors.Is(err, driver.ErrNotExist):
		return true, nil // removed since the names were read
	case err != nil:
		return false, err
	}
	return w.yield(info(key, &st), nil), nil
}

// names returns the entries of the directory at path, or nil if there is no such directory.
//
// While a directory changes, a reader may see an entry twice or, on some file systems, miss an
// entry that a rename replaces. So names reads the directory until its time has not changed during
// the read, and finally under its lock.
func (d *Driver) names(ctx context.Context, path string) (*names, error) {
	if d.lists.has(path) {
		var st syscall.Stat_t
		if lstat(d.objects+path, &st) == nil {
			if n := d.lists.get(path, stampOf(&st)); n != nil {
				return n, nil
			}
		}
	}
	for range 3 {
		n, exact, err := d.readNames(ctx, path)
		if exact || err != nil {
			return n, err
		}
	}
	l := d.lockOf(path)
	if err := l.lock(); err != nil {
		return nil, err
	}
	defer l.unlock()
	n, _, err := d.readNames(ctx, path)
	return n, err
}

// readNames reads the entries of the directory at path. exact reports that the directory did not
// change during the read; readNames then caches the entries.
func (d *Driver) readNames(ctx context.Context, path string) (n *names, exact bool, err error) {
	f, err := openFile(d.objects+path, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		if err = openError(err); errors.Is(err, driver.ErrNotExist) {
			return nil, true, nil
		}
		return nil, false, err
	}
	defer func() { _ = f.Close() }()
	before, known, err := d.directoryState(f)
	if err != nil {
		return nil, false, err
	}
	remainders := isCut(base(path))
	var entries []string
	err = readEntries(f, func(name string, isDir bool) {
		if e, ok := entry(name, isDir, remainders); ok {
			entries = append(entries, e)
		}
	})
	if errors.Is(err, syscall.ENOENT) {
		return nil, true, nil // removed since it was opened
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, false, err
	}
	after, _, err := d.directoryState(f)
	if err != nil {
		return nil, false, err
	}
	n = newNames(entries)
	if exact = known && before == after; exact {
		d.lists.put(path, before, n)
	}
	return n, exact, nil
}

// directoryState returns the stamp of an open directory. certain reports that every later state of
// the directory has another stamp.
func (d *Driver) directoryState(f *os.File) (s stamp, certain bool, err error) {
	var st syscall.Stat_t
	if err := fstat(int(f.Fd()), &st); err != nil {
		return stamp{}, false, err
	}
	m := mtime(&st)
	return stampOf(&st), atime(&st) == m+ours || time.Now().UnixNano()-m > settled, nil
}
