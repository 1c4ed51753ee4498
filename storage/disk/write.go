//go:build linux || darwin

package disk

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/registrykit/registry/storage/driver"
)

// maxAttempts is how often publish tries while other callers keep removing the directory.
const maxAttempts = 100

// errUnsynced is returned when a deferred Put would replace an object before its own content is
// synced. After a loss of power, both could be gone.
var errUnsynced = errors.New("content is not synced")

// Put implements [driver.Driver]. It locks nothing and shows nothing until the whole object is
// written.
func (d *Driver) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	if opts == nil {
		opts = &driver.PutOptions{}
	}
	if err := d.check(ctx, "put", key); err != nil {
		return driver.Info{}, err
	}
	if opts.IfAbsent && opts.IfVersion != "" {
		return driver.Info{}, failure("put", key, fs.ErrInvalid)
	}
	w := &writing{d: d, path: keyPath(key), opts: opts}
	if err := w.run(ctx, body); err != nil {
		return driver.Info{}, failure("put", key, err)
	}
	return info(key, &w.st), nil
}

// writing is the state of one Put.
type writing struct {
	d      *Driver
	path   string // of the object
	opts   *driver.PutOptions
	temp   tempFile
	st     syscall.Stat_t // of the temporary file, which becomes the object
	synced bool           // the content is durable

	linked  bool // the file has other names, so its time stays, see Adopt
	retimed bool // the time of the file has changed since it was synced

	content   []byte         // of a small body in memory, if there is a journal
	old       syscall.Stat_t // of the object that is there, see checkConditions
	journaled int            // how often the content was appended to the journal
	inJournal bool           // synced by a contentRecord, which is of no use if the time changes
}

func (w *writing) run(ctx context.Context, body io.Reader) error {
	if !isInMemory(body) && (w.opts.IfAbsent || w.opts.IfVersion != "") {
		// Most conditions that fail, fail here, before the body is read. The check in publish
		// decides. Writing a body in memory costs little more than this check.
		if _, err := w.checkConditions(); err != nil {
			return err
		}
	}
	var err error
	if w.temp, err = w.d.newTemp(); err != nil {
		return err
	}
	defer func() { _ = w.temp.close() }()
	published := false
	defer func() {
		if !published {
			_ = syscall.Unlink(w.temp.path)
		}
	}()
	if body, err = w.keepContent(body); err != nil {
		return err
	}
	if err := w.d.copyBody(ctx, &w.temp, body); err != nil {
		return err
	}
	if w.opts.Durability == driver.Durable {
		if err := w.seal(); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.publish(); err != nil {
		return err
	}
	published = true
	if w.content != nil {
		w.d.journal.recent.Add(stampOf(&w.st), w.content, len(w.content)+entryBytes)
	}
	if w.opts.Durability != driver.Durable {
		return nil
	}
	// The object is visible now, so the end of the context no longer matters.
	if w.retimed {
		if err := w.syncFile(); err != nil {
			return err
		}
	}
	return w.d.syncWritten(w.path, stampOf(&w.st), w.isSmall())
}

// seal makes the content of the temporary file durable, with a time that the file most likely
// keeps. It makes the directory of the object first, because the file must be later than its
// directory.
func (w *writing) seal() error {
	var st syscall.Stat_t
	if dir := parent(w.path); w.opts.IfVersion == "" && lstat(w.d.objects+dir, &st) == syscall.ENOENT {
		if err := w.d.makeDirs(dir); err != nil {
			return keyConflict(err)
		}
	}
	if w.d.journal != nil {
		if err := fstat(w.temp.fd, &w.st); err != nil {
			return err
		}
		if w.isSmall() {
			return w.sync()
		}
	}
	if err := w.takeTime(w.d.now()); err != nil {
		return err
	}
	return w.sync()
}

// takeTime gives the temporary file a time, and so the object its version.
func (w *writing) takeTime(t int64) error {
	if err := setTimes(w.temp.path, t, t); err != nil {
		return err
	}
	return fstat(w.temp.fd, &w.st)
}

// retime gives the file the sequence number of the change that publishes it as its time. A sealed
// file mostly has that time already.
func (w *writing) retime(seq int64) error {
	if w.linked || mtime(&w.st) == seq {
		return nil
	}
	w.retimed = w.synced
	return w.takeTime(seq)
}

// sync makes the content durable.
func (w *writing) sync() error {
	if w.isSmall() && w.journaled < maxJournaled {
		if done, err := w.journalContent(); done || err != nil {
			return err
		}
	}
	return w.syncFile()
}

func (w *writing) syncFile() error {
	w.inJournal = false
	if w.d.fsync != nil {
		if err := w.d.fsync(w.temp.osFile()); err != nil {
			return err
		}
		w.d.known.add(stampOf(&w.st), contentSafe)
	}
	w.synced = true
	return nil
}

// checkConditions checks the conditions of the Put on the present object, and reports whether there
// is one.
func (w *writing) checkConditions() (exists bool, err error) {
	st := &w.old
	switch err := w.d.object(w.path, st); {
	case err == nil:
	case !errors.Is(err, driver.ErrNotExist):
		return false, err
	case w.opts.IfVersion != "":
		return false, driver.ErrChanged
	default:
		return false, nil
	}
	switch {
	case w.opts.IfAbsent:
		return true, driver.ErrExist
	case w.opts.IfVersion != "" && w.opts.IfVersion != version(st):
		return true, driver.ErrChanged
	}
	return true, nil
}

// publish renames the temporary file to the path of the object, if the conditions hold.
func (w *writing) publish() error {
	dir := parent(w.path)
	for attempt := 0; ; attempt++ {
		at := mtime(&w.st)
		if !w.synced && !w.linked {
			at = w.d.now() // the file has no time yet
		}
		err := w.d.change(dir, at, w.rename)
		switch {
		case err == nil || attempt == maxAttempts:
			return err
		case err == errUnsynced:
			err = w.sync()
		case w.opts.IfVersion != "" && (errors.Is(err, errNoDirectory) || errors.Is(err, syscall.ENOTDIR)):
			return driver.ErrChanged // no object can be there
		case errors.Is(err, errNoDirectory):
			err = w.d.makeDirs(dir)
		default:
			return keyConflict(err)
		}
		if err != nil {
			return keyConflict(err)
		}
	}
}

// rename makes the change of publish, under the lock of the directory.
func (w *writing) rename(seq int64) (edit, error) {
	if !w.inJournal {
		if err := w.retime(seq); err != nil {
			return edit{}, err
		}
	}
	if w.opts.IfVersion == "" && (!w.inJournal || mtime(&w.st) == seq) {
		// Most objects are new, and then this needs no look at the path.
		err := w.renameNew()
		if err == nil {
			return w.published(0), nil
		}
		if err != syscall.EEXIST && !isUnsupported(err) {
			return edit{}, os.NewSyscallError("rename", err)
		}
	}
	exists, err := w.checkConditions()
	if err != nil {
		return edit{}, err
	}
	if !exists {
		if w.inJournal && mtime(&w.st) != seq {
			if w.opts.Durability == driver.Durable {
				return edit{}, errUnsynced
			}
			if err := w.retime(seq); err != nil {
				return edit{}, err
			}
		}
		return w.published(0), w.move()
	}
	if w.needsSync() {
		return edit{}, errUnsynced
	}
	if mtime(&w.old) >= mtime(&w.st) { // only if another program has put the object there
		if err := w.retime(mtime(&w.old) + 1); err != nil {
			return edit{}, err
		}
	}
	return w.published(mtime(&w.st)), w.move()
}

// published returns the edit of the directory: it has the file under the name of the object.
func (w *writing) published(seq int64) edit {
	return edit{add: base(w.path), state: stateOf(&w.st), seq: seq}
}

// needsSync reports whether the content must be synced before the file replaces an object. The
// content that the journal has belongs to the time of the file, which must be later than that of
// the object.
func (w *writing) needsSync() bool {
	if w.opts.Durability == driver.Relaxed || w.d.fsync == nil {
		return false
	}
	return !w.synced || w.inJournal && mtime(&w.old) >= mtime(&w.st)
}

// move renames the file. It is not os.Rename, which makes a further system call to look at the
// target.
func (w *writing) move() error {
	return w.recordKept(func() error {
		return os.NewSyscallError("rename", syscall.Rename(w.temp.path, w.d.objects+w.path))
	})
}

// renameNew renames the file if nothing has its name.
func (w *writing) renameNew() error {
	return w.recordKept(func() error { return renameNew(w.temp.path, w.d.objects+w.path) })
}

// keyConflict turns an error into driver.ErrKey if a directory is at the path of the object, or a
// file at the path of one of its directories.
func keyConflict(err error) error {
	for _, e := range []syscall.Errno{syscall.ENOTDIR, syscall.EISDIR, syscall.ENOTEMPTY} {
		if errors.Is(err, e) {
			return &classified{driver.ErrKey, errors.New("the key is a directory of another key, or the other way round")}
		}
	}
	return err
}

// isInMemory reports whether the body is bytes in memory.
func isInMemory(body io.Reader) bool {
	switch body.(type) {
	case *bytes.Reader, *bytes.Buffer, *strings.Reader:
		return true
	}
	return false
}
