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
	l, err := w.d.listing(w.ctx, path)
	if l == nil || err != nil {
		return err == nil, err
	}
	remainders := isCut(base(path))
	below := path
	if path != "" {
		below += "/"
	}
	c, i := l.names.seek(rest, remainders)
	for ; c < len(l.names.chunks); c, i = c+1, 0 {
		if !w.keysOnly {
			if err := w.d.readStates(w.ctx, l, c); err != nil {
				return false, err
			}
		}
		at := l.names.chunks[c]
		for ; i < len(at.entries); i++ {
			e := at.entries[i]
			full := prefix + piece(e, remainders)
			switch {
			case isDirectory(e):
				more, err = w.dir(below+fileName(e), full)
			case at.states != nil && at.states[i] != state{}:
				more, err = w.known(full, at.states[i])
			default:
				more, err = w.file(below+e, full)
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

// file yields the object at path.
func (w *walk) file(path, enc string) (more bool, err error) {
	if err := w.ctx.Err(); err != nil {
		return false, err
	}
	key, ok := listedKey(enc)
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

// listedKey is decode for an encoded key whose components come from a valid prefix and from entry,
// which has checked them: without a case mark, the key is the same text.
func listedKey(enc string) (key string, ok bool) {
	if strings.IndexByte(enc, caseMark) < 0 {
		return enc, len(enc) <= driver.MaxKeyLength
	}
	return decode(enc)
}

// known yields an object that has the state s.
func (w *walk) known(enc string, s state) (more bool, err error) {
	if err := w.ctx.Err(); err != nil {
		return false, err
	}
	key, ok := listedKey(enc)
	if !ok || enc <= w.after {
		return true, nil
	}
	i := driver.Info{Key: key, Size: s.size, ModTime: time.Unix(0, s.mtime), Version: s.version()}
	return w.yield(i, nil), nil
}

// listing is the names of a directory, as a list has read them.
type listing struct {
	path  string
	names *names
	stamp stamp // of the directory while it had these names
	exact bool  // every other state of the directory has another stamp
}

// readStates reads the states of the files in chunk c of l. They are part of l, and of the cache,
// if the directory has not changed since its names were read: every change of an object in a
// directory changes the stamp of the directory.
func (d *Driver) readStates(ctx context.Context, l *listing, c int) error {
	at := l.names.chunks[c]
	if at.states != nil || !l.exact {
		return nil
	}
	states := make([]state, len(at.entries))
	var st syscall.Stat_t
	for i, e := range at.entries {
		if isDirectory(e) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		switch err := d.object(l.path+"/"+e, &st); {
		case errors.Is(err, driver.ErrNotExist):
			l.exact = false // removed since the names were read
			return nil
		case err != nil:
			return err
		}
		states[i] = stateOf(&st)
	}
	if l.exact = lstat(d.objects+l.path, &st) == nil && stampOf(&st) == l.stamp; l.exact {
		l.names = d.lists.learn(l.path, l.stamp, l.names, c, states)
	}
	return nil
}

// listing returns the entries of the directory at path, or nil if there is no such directory.
//
// While a directory changes, a reader may see an entry twice or, on some file systems, miss an
// entry that a rename replaces. So names reads the directory until its time has not changed during
// the read, and finally under its lock.
func (d *Driver) listing(ctx context.Context, path string) (*listing, error) {
	if d.lists.has(path) {
		var st syscall.Stat_t
		if lstat(d.objects+path, &st) == nil {
			if n := d.lists.get(path, stampOf(&st)); n != nil {
				return &listing{path, n, stampOf(&st), true}, nil
			}
		}
	}
	for range 3 {
		l, err := d.readNames(ctx, path)
		if l == nil || l.exact || err != nil {
			return l, err
		}
	}
	lock := d.lockOf(path)
	if err := lock.lock(); err != nil {
		return nil, err
	}
	defer lock.unlock()
	return d.readNames(ctx, path)
}

// readNames reads the entries of the directory at path, if there is one. It caches them if they are
// exact: the directory did not change during the read.
func (d *Driver) readNames(ctx context.Context, path string) (*listing, error) {
	f, err := openFile(d.objects+path, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		if err = openError(err); errors.Is(err, driver.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	defer func() { _ = f.Close() }()
	before, known, err := d.directoryState(f)
	if err != nil {
		return nil, err
	}
	remainders := isCut(base(path))
	var entries []string
	err = readEntries(f, func(name string, isDir bool) {
		if e, ok := entry(name, isDir, remainders); ok {
			entries = append(entries, e)
		}
	})
	if errors.Is(err, syscall.ENOENT) {
		return nil, nil // removed since it was opened
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	after, _, err := d.directoryState(f)
	if err != nil {
		return nil, err
	}
	l := &listing{path, newNames(entries), before, known && before == after}
	if l.exact {
		d.lists.put(path, before, l.names)
	}
	return l, nil
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
