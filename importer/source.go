package importer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"time"
)

// Source is the data of the old registry. [OpenDir] opens a directory, and package importer/bucket a
// bucket. All names are paths below docker/registry/v2, with slashes. A Source is safe for concurrent
// use.
type Source interface {
	// String names the source in reports: its path or URL, without secrets.
	String() string

	// List yields the entries of a directory, in ascending byte order of their names.
	//
	// Errors: fs.ErrNotExist; an error is the last element.
	List(ctx context.Context, dir string) iter.Seq2[Entry, error]

	// ReadFile returns the content of a file of at most limit bytes, and when it was last written.
	//
	// Errors: fs.ErrNotExist; ErrIrregular; ErrTooLarge.
	ReadFile(ctx context.Context, name string, limit int64) ([]byte, time.Time, error)

	// Open opens a file. The caller closes it. The bytes are those of one version of the file.
	//
	// Errors: fs.ErrNotExist; ErrIrregular.
	Open(ctx context.Context, name string) (*File, error)

	// Close releases the source.
	Close() error
}

// Entry is an element of Source.List.
type Entry struct {
	// Name is the name in the directory.
	Name string
	// Type has the type bits of the mode: 0 for a file, fs.ModeDir for a directory, and anything else
	// for what is neither.
	Type fs.FileMode
}

// File is the result of Source.Open.
type File struct {
	io.ReadCloser
	// Size is the size in bytes.
	Size int64
	// Adoptable is what a driver can take over without reading it, see driver.Adopter: an *os.File, for
	// example. It is nil if there is no such thing.
	Adoptable any
}

var (
	// ErrIrregular is returned for a file that is a symbolic link, a device or a directory.
	ErrIrregular = errors.New("importer: not a regular file")
	// ErrTooLarge is returned for a file that is larger than it may be.
	ErrTooLarge = errors.New("importer: the file is too large")
)
