package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// Defaults of [Options], and limits of the layout.
const (
	// DefaultUploadTTL is the default of Options.UploadTTL.
	DefaultUploadTTL = 24 * time.Hour
	// DefaultGrace is the default of Options.Grace.
	DefaultGrace = 24 * time.Hour
	// InlineSize is the maximum size of a blob that is kept in its link, in bytes. Of a larger
	// blob, the last part is kept there if it is not larger than this.
	InlineSize = 16 << 10
)

// Options are the options of [New]. nil means the zero Options.
type Options struct {
	// Sparse accepts a manifest that names blobs or manifests which the repository does not have,
	// such as an index of which only one platform was copied. Default: false, such a manifest is
	// refused with [registry.ErrManifestBlobUnknown].
	Sparse bool
	// AcceptWrongSizes sets registry.PutOptions.AcceptWrongSizes for every push: an index may state
	// a size of a manifest that differs from its real size. It is for stores to which clients copy
	// old manifest lists over HTTP. Default: false, such an index is refused with
	// [registry.ErrManifestInvalid] unless the push sets AcceptWrongSizes itself.
	AcceptWrongSizes bool
	// UploadTTL is how long an upload lives without a request. After that, [Store.ExpireUploads] or
	// a collection ends it, and its client must begin again. Default: DefaultUploadTTL, 24 hours. A
	// negative value is an error.
	UploadTTL time.Duration
	// MaxUploads is the maximum number of unfinished uploads of one owner: a named identity, or all
	// anonymous callers together. Another upload is refused with [registry.ErrTooManyRequests]
	// before anything is written.
	//
	// An upload counts from its start until it is committed or cancelled, or has had no request for
	// UploadTTL. The exception is an upload that has received nothing: it stops counting after ten
	// seconds. Each Store counts the uploads that it has seen, in memory: n replicas together allow
	// at most n times as many, and a replica that restarts counts from zero. Default:
	// DefaultMaxUploads, 10,000. Negative means no limit.
	MaxUploads int
	// Grace is the grace period: a collection leaves unreferenced content alone until it is this
	// old. The age counts from when the content was written, or last found by a push, a mount, or a
	// HEAD of a caller with push access. Make it at least twice as long as the longest push takes,
	// so that no push has to send a blob again. All Stores on one storage should have the same
	// value. Default: DefaultGrace, 24 hours. Negative means no grace period.
	Grace time.Duration
	// History is how long the events of a repository (changes of tags, and deletes) are kept. For
	// that long, deleted manifests, tags and repositories can be restored, see [registry.Restorer],
	// and collections keep what they name. A blob that was deleted on its own cannot be restored.
	// With history, a change of a tag and a delete each make about three more requests to the
	// storage. All Stores on one storage should have the same value. Default: 0, which keeps no
	// history. A negative value is an error.
	History time.Duration
	// Redirect makes clients fetch large blobs directly from the storage. It has an effect only if
	// the driver is a [driver.URLSigner]. &RedirectOptions{} has the defaults. Default: nil, this
	// process sends all content.
	Redirect *RedirectOptions
}

// Driver is the storage below a Store. It is an alias of [driver.Driver], which has the contract.
type Driver = driver.Driver

// Store is the standard [registry.Backend], over any [driver.Driver]. It owns every rule of the
// layout and the order of all writes. All its state is in the driver: any number of Stores, in any
// number of processes, can work on the same storage at once. A Store is safe for concurrent use.
//
// A blob, manifest, tag or delete that has been acknowledged survives a kill of the process and, as
// far as the Sync of the driver guarantees it, a loss of power.
//
// Every method may also return an error of the driver. If the storage is full, that is
// [registry.ErrNoSpace]; if it is temporarily unavailable, [registry.ErrUnavailable].
type Store struct {
	registry.Unimplemented
	objects *object.Store
	opts    Options
	secret  []byte     // signs the IDs of uploads
	macs    *sync.Pool // of hash.Hash, with that secret

	// What this process remembers, to save requests to the storage. No access decision depends on
	// it.
	ended *lru.Cache[[16]byte, struct{}]     // uploads that ended in this process, by uploadID.random
	known *lru.Cache[[16]byte, uploadRecord] // uploads as this process left them, by uploadID.random
	// committing are the uploads without a record that this process is committing, by uploadID.random.
	committing *sync.Map
	signed     *lru.Cache[string, signedURL] // signed URLs, by key of the data object

	unfinished *unfinished
}

// repo is one repository of a Store.
type repo struct {
	object.Repo
	store *Store
}

// repo returns one repository. The name must be valid.
func (s *Store) repo(name string) repo { return repo{Repo: s.objects.Repo(name), store: s} }

// withReserve returns the same repository for an operation that frees space: its writes may use the
// reserve, see object.Store.WithReserve.
func (r repo) withReserve() repo {
	r.Repo.Store = r.Store.WithReserve()
	return r
}

var _ registry.Backend = (*Store)(nil)

// New returns a Store on the driver d, and prepares an empty storage. opts may be nil. New starts
// nothing: no space is freed unless the program runs [Store.CollectEvery] or [Store.Collect]. The
// Store need not be closed. The caller keeps the ownership of d. If d has to be closed, the caller
// closes it when no request is running any more.
//
// Errors: an error if d is nil, an option is invalid, or the layout of the storage is newer than
// this version of the package; any error of the driver.
func New(ctx context.Context, d driver.Driver, opts *Options) (*Store, error) {
	if d == nil {
		return nil, errors.New("storage: the driver is nil")
	}
	s := &Store{
		opts:       options.Value(opts),
		macs:       &sync.Pool{},
		ended:      lru.New[[16]byte, struct{}](maxEnded),
		known:      lru.New[[16]byte, uploadRecord](maxKnown),
		committing: &sync.Map{},
		signed:     lru.New[string, signedURL](maxSigned),
	}
	if s.opts.UploadTTL == 0 {
		s.opts.UploadTTL = DefaultUploadTTL
	}
	if s.opts.UploadTTL < 0 {
		return nil, errors.New("storage: Options.UploadTTL is negative")
	}
	if s.opts.MaxUploads == 0 {
		s.opts.MaxUploads = DefaultMaxUploads
	}
	s.unfinished = newUnfinished(max(s.opts.MaxUploads, 0))
	if s.opts.Grace == 0 {
		s.opts.Grace = DefaultGrace
	}
	if s.opts.History < 0 {
		return nil, errors.New("storage: Options.History is negative")
	}
	if err := s.opts.Redirect.check(); err != nil {
		return nil, err
	}
	s.objects = object.New(d, s.opts.Grace, s.opts.History)
	if err := s.checkLayout(ctx); err != nil {
		return nil, err
	}
	var err error
	if s.secret, err = s.sharedSecret(ctx, object.UploadSecretKey); err != nil {
		return nil, err
	}
	return s, nil
}

// layoutRecord is the content of the object object.LayoutKey.
type layoutRecord struct {
	Version int `json:"version"`
}

// checkLayout writes the version of the layout to an empty storage. It returns an error if the
// storage has a version that this package does not know.
func (s *Store) checkLayout(ctx context.Context) error {
	b, err := s.objects.ReadOrCreate(ctx, object.LayoutKey, func() ([]byte, error) {
		return json.Marshal(layoutRecord{Version: object.LayoutVersion})
	})
	if err != nil {
		return err
	}
	var l layoutRecord
	if err := json.Unmarshal(b, &l); err != nil || l.Version < 1 {
		return fmt.Errorf("storage: the object %q has no valid layout version", object.LayoutKey)
	}
	if l.Version > object.LayoutVersion {
		return fmt.Errorf("storage: the layout has version %d, but this program only knows versions up to %d", l.Version,
			object.LayoutVersion)
	}
	return nil
}

// maxSigned is the maximum size of the remembered signed URLs, in bytes.
const maxSigned = 4 << 20
