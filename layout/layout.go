package layout

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
)

// DefaultRepository is the repository of tags for which neither the layout nor Options has one.
const DefaultRepository = "image"

// Defaults of [Options].
const (
	// DefaultMaxManifestSize is the default of Options.MaxManifestSize, in bytes.
	DefaultMaxManifestSize = 4 << 20
	// DefaultMaxIndexSize is the default of Options.MaxIndexSize, in bytes.
	DefaultMaxIndexSize = 32 << 20
	// DefaultMaxManifests is the default of Options.MaxManifests.
	DefaultMaxManifests = 100_000
	// DefaultMaxFiles is the default of Options.MaxFiles.
	DefaultMaxFiles = 200_000
	// DefaultMaxUnpacked is the default of Options.MaxUnpacked, in bytes.
	DefaultMaxUnpacked = 16 << 30
)

// Options are the options of Open and Create. nil means the zero Options.
type Options struct {
	// Repository is the repository of names that are a tag alone. See the package comment for the
	// default.
	Repository string
	// Replace lets Create replace an existing archive. The old one stays until Close has completed the
	// new one. Default: false, Create and Close fail if the archive exists.
	Replace bool

	// MaxManifestSize is the maximum size of a manifest, in bytes. Default: DefaultMaxManifestSize.
	MaxManifestSize int64
	// MaxIndexSize is the maximum size of index.json and of manifest.json, in bytes. Default:
	// DefaultMaxIndexSize.
	MaxIndexSize int64
	// MaxManifests is the maximum number of entries of index.json, of images of manifest.json, and of
	// manifests that Referrers looks at. Each needs about 500 bytes of memory. Default:
	// DefaultMaxManifests.
	MaxManifests int
	// MaxFiles is the maximum number of files and directories in an archive that is read. Default:
	// DefaultMaxFiles.
	MaxFiles int
	// MaxUnpacked is the maximum size of an archive with gzip after it is unpacked, in bytes. Default:
	// DefaultMaxUnpacked.
	MaxUnpacked int64
	// TempDir is the directory for an archive that is unpacked. Default: os.TempDir().
	TempDir string
}

// withDefaults checks the options, and fills in the defaults.
func withDefaults(opts *Options) (Options, error) {
	o := options.Value(opts)
	if o.Repository != "" {
		if err := registry.CheckName(o.Repository); err != nil {
			return o, err
		}
	}
	if o.MaxManifestSize < 0 || o.MaxIndexSize < 0 || o.MaxManifests < 0 || o.MaxFiles < 0 || o.MaxUnpacked < 0 {
		return o, errors.New("a limit in Options is negative")
	}
	options.Default(&o.MaxManifestSize, DefaultMaxManifestSize)
	options.Default(&o.MaxIndexSize, DefaultMaxIndexSize)
	options.Default(&o.MaxManifests, DefaultMaxManifests)
	options.Default(&o.MaxFiles, DefaultMaxFiles)
	options.Default(&o.MaxUnpacked, DefaultMaxUnpacked)
	return o, nil
}

// Layout is an open layout. It is a [registry.Backend]. It cannot delete or restore; a Layout of
// Open cannot be pushed to. Such operations return registry.ErrUnsupported.
type Layout struct {
	registry.Unimplemented

	opts   Options
	pool   pool
	writer *writer // nil for Open

	mu    sync.Mutex // guards the index
	index *index
	graph graph
}

var _ registry.Backend = (*Layout)(nil)

// Open opens a directory, a tar archive, or a tar archive compressed with gzip, for reading. opts
// may be nil.
//
// Changes of a directory are visible to later operations. An archive must not change while it is
// open.
//
// Errors: those of the file system; an error with the reason for a file that is not one of these, or
// is refused. See the package comment.
func Open(path string, opts *Options) (*Layout, error) {
	o, err := withDefaults(opts)
	if err != nil {
		return nil, fmt.Errorf("layout: %w", err)
	}
	l := &Layout{opts: o}
	if err := l.open(path); err != nil {
		return nil, fmt.Errorf("layout: %s: %w", path, err)
	}
	return l, nil
}

func (l *Layout) open(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		l.pool, err = openDir(path)
	case info.Mode().IsRegular():
		l.pool, err = openArchive(path, &l.opts)
	default:
		return errors.New("it is neither a directory nor a file")
	}
	if err != nil {
		return err
	}
	if _, err := l.current(); err != nil {
		_ = l.pool.close()
		return err
	}
	return nil
}

// Create creates a directory or, if path ends in ".tar", an archive. It opens an existing directory
// to add to it; the directory must have a layout or be empty. opts may be nil.
//
// Errors: those of the file system; an error that wraps fs.ErrExist if the archive exists, see
// Options.Replace.
func Create(path string, opts *Options) (*Layout, error) {
	o, err := withDefaults(opts)
	if err != nil {
		return nil, fmt.Errorf("layout: %w", err)
	}
	l := &Layout{opts: o}
	if strings.HasSuffix(path, ".tar") {
		err = l.createArchive(path)
	} else {
		err = l.createDir(path)
	}
	if err != nil {
		return nil, fmt.Errorf("layout: %s: %w", path, err)
	}
	return l, nil
}

// Close ends the use of the layout and drops uploads that were not committed. An archive of Create
// exists only when Close has returned nil. After an error of a copy, [Layout.Abort] closes an
// archive without completing it. Nothing else of the Layout may be used any more; a second Close
// does nothing.
//
// Errors: for an archive, those of the file system.
func (l *Layout) Close() error { return l.end(true) }

// Abort closes the layout like Close, and drops an archive that Create began. A directory keeps
// what was pushed.
func (l *Layout) Abort() error { return l.end(false) }

// end closes the layout.
func (l *Layout) end(complete bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.pool.(closed); ok {
		return nil
	}
	var err error
	if l.writer != nil {
		err = l.finish(complete)
	}
	if l.index != nil && l.index.stamp != nil {
		l.index.stamp.release()
	}
	if cerr := l.pool.close(); err == nil && cerr != nil {
		err = fmt.Errorf("layout: %w", cerr)
	}
	l.pool = closed{}
	return err
}
