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

const (
	bufferSize  = 128 << 10 // bytes of a pooled buffer
	copySize    = 64 << 20  // bytes that the kernel copies between two checks of the context
	maxAttempts = 100       // to publish while other callers keep removing the directory
)

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
	file   *os.File       // the temporary file, open for writing
	temp   string         // the path of the temporary file
	st     syscall.Stat_t // of the temporary file, which becomes the object
	synced bool
}

func (w *writing) run(ctx context.Context, body io.Reader) error {
	if w.opts.IfAbsent || w.opts.IfVersion != "" {
		// Most conditions that fail, fail here, before the body is read. The check in publish
		// decides.
		if _, err := w.checkConditions(); err != nil {
			return err
		}
	}
	var err error
	if w.file, err = w.d.createTemp(); err != nil {
		return err
	}
	w.temp = w.file.Name()
	defer func() { _ = w.file.Close() }()
	published := false
	defer func() {
		if !published {
			_ = os.Remove(w.temp)
		}
	}()
	if err := w.d.copyBody(ctx, w.file, body); err != nil {
		return err
	}
	if err := w.seal(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.publish(); err != nil {
		return err
	}
	published = true
	if w.opts.Durability != driver.Durable {
		return nil
	}
	// The object is visible now, so the end of the context no longer matters.
	return w.d.syncWritten(w.path, stampOf(&w.st))
}

// seal sets the time of the temporary file, and so its version. It syncs the file if the Put is
// Durable.
func (w *writing) seal() error {
	t := w.d.now()
	if err := setTimes(w.temp, t, t); err != nil {
		return err
	}
	if err := fstat(int(w.file.Fd()), &w.st); err != nil {
		return err
	}
	if w.opts.Durability == driver.Durable {
		return w.sync()
	}
	return nil
}

func (w *writing) sync() error {
	if w.d.fsync != nil {
		if err := w.d.fsync(w.file); err != nil {
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
	var st syscall.Stat_t
	switch err := w.d.object(w.path, &st); {
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
	case w.opts.IfVersion != "" && w.opts.IfVersion != version(&st):
		return true, driver.ErrChanged
	}
	return true, nil
}

// publish renames the temporary file to the path of the object, if the conditions hold.
func (w *writing) publish() error {
	dir, full := parent(w.path), w.d.objects+w.path
	for attempt := 0; ; attempt++ {
		err := w.d.change(dir, func() (edit, error) {
			exists, err := w.checkConditions()
			if err != nil {
				return edit{}, err
			}
			if exists && !w.synced && w.opts.Durability == driver.Deferred && w.d.fsync != nil {
				return edit{}, errUnsynced
			}
			// Not os.Rename, which makes a further system call to look at the target.
			err = os.NewSyscallError("rename", syscall.Rename(w.temp, full))
			if exists {
				return edit{}, err
			}
			return edit{add: base(w.path)}, err
		})
		switch {
		case err == nil || attempt == maxAttempts:
			return err
		case err == errUnsynced:
			err = w.sync()
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

// copyBody writes body to f.
func (d *Driver) copyBody(ctx context.Context, f *os.File, body io.Reader) error {
	switch b := body.(type) {
	case nil:
		return nil
	case *bytes.Reader, *bytes.Buffer, *strings.Reader: // in memory: one write
		_, err := b.(io.WriterTo).WriteTo(f)
		return err
	case *os.File: // the kernel copies, or even shares the blocks
		for {
			n, err := f.ReadFrom(io.LimitReader(b, copySize))
			if err == nil {
				err = ctx.Err()
			}
			if n < copySize || err != nil {
				return err
			}
		}
	}
	buf := d.buffers.Get().(*[bufferSize]byte)
	defer d.buffers.Put(buf)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := body.Read(buf[:])
		if n > 0 {
			if _, err := f.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
