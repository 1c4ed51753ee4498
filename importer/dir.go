package importer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// root is where the old registry keeps everything, below its directory or bucket.
const root = "docker/registry/v2"

// OpenDir opens the directory of the old registry: the one that contains docker/registry/v2, which is
// its option rootdirectory. The directory itself and the three below it may be symbolic links. Below
// them, none is followed out of the tree.
//
// Errors: an error if there is no docker/registry/v2 with repositories and blobs in it.
func OpenDir(path string) (Source, error) {
	full, err := filepath.Abs(filepath.Join(path, filepath.FromSlash(root)))
	if err == nil {
		full, err = filepath.EvalSymlinks(full)
	}
	if err != nil {
		return nil, fmt.Errorf("importer: %s holds no data of a registry: %w", path, err)
	}
	for _, sub := range []string{"repositories", "blobs"} {
		if fi, err := os.Lstat(filepath.Join(full, sub)); err != nil {
			return nil, fmt.Errorf("importer: %s holds no data of a registry: %w", path, err)
		} else if !fi.IsDir() {
			return nil, fmt.Errorf("importer: %s is not a directory; if it is a symbolic link, mount or bind its target there",
				filepath.Join(full, sub))
		}
	}
	r, err := os.OpenRoot(full)
	if err != nil {
		return nil, fmt.Errorf("importer: %w", err)
	}
	return &dir{root: r, path: full}, nil
}

// dir is a Source over a directory.
type dir struct {
	root *os.Root
	path string
}

func (d *dir) String() string { return d.path }

func (d *dir) Close() error { return d.root.Close() }

// List implements [Source]. It reads all names of the directory at once.
func (d *dir) List(ctx context.Context, name string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		entries, err := d.entries(name)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for _, e := range entries {
			if !yield(Entry{Name: e.Name(), Type: e.Type()}, nil) {
				return
			}
		}
	}
}

func (d *dir) entries(name string) ([]fs.DirEntry, error) {
	f, err := d.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	entries, err := f.ReadDir(-1)
	if errors.Is(err, syscall.ENOTDIR) {
		err = fmt.Errorf("%s: %w", name, ErrIrregular)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return entries, err
}

// open opens a regular file that is not a symbolic link. It never waits, unlike open(2) of a FIFO.
func (d *dir) open(name string) (*os.File, fs.FileInfo, error) {
	local := filepath.FromSlash(name)
	seen, err := d.root.Lstat(local)
	if err != nil {
		return nil, nil, err
	}
	if !seen.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s: %w", name, ErrIrregular)
	}
	f, err := d.root.OpenFile(local, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, nil, err
	}
	fi, err := f.Stat()
	if err == nil && (!fi.Mode().IsRegular() || !os.SameFile(fi, seen)) {
		// Another file has taken its place. The old registry does that to the link of a tag.
		if again, lerr := d.root.Lstat(local); lerr != nil || !os.SameFile(fi, again) {
			err = fmt.Errorf("%s: %w", name, ErrIrregular)
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, fi, nil
}

// ReadFile implements [Source].
func (d *dir) ReadFile(_ context.Context, name string, limit int64) ([]byte, time.Time, error) {
	f, fi, err := d.open(name)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer func() { _ = f.Close() }()
	b, err := readLimited(f, fi.Size(), limit)
	return b, fi.ModTime(), err
}

// readLimited reads all of r, whose size is probably size.
//
// Errors: ErrTooLarge.
func readLimited(r io.Reader, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, size)
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		return nil, ErrTooLarge
	}
	return b, err
}

// Open implements [Source]. The File can be taken over by storage/disk.
func (d *dir) Open(_ context.Context, name string) (*File, error) {
	f, fi, err := d.open(name)
	if err != nil {
		return nil, err
	}
	return &File{ReadCloser: f, Size: fi.Size(), Adoptable: f}, nil
}
