package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// Defaults of [Options] and limits of the layout.
const (
	// DefaultUploadTTL is how long an upload lives on without a request.
	DefaultUploadTTL = 24 * time.Hour
	// DefaultGrace is how long content is left alone that nothing names.
	DefaultGrace = 24 * time.Hour
	// InlineSize is the number of bytes up to which a blob, or the last part of one, is kept in its
	// link.
	InlineSize = 16 << 10
)

// Options are the options of [New]. nil is the zero Options.
type Options struct {
	// Sparse accepts manifests that name content which the repository does not have.
	Sparse bool
	// AcceptWrongSizes sets registry.PutOptions.AcceptWrongSizes for every push: an index may state
	// another size for a manifest than it has. It is for stores that clients copy old lists to by
	// HTTP.
	AcceptWrongSizes bool
	// UploadTTL is how long an upload lives on without a request; see Store.ExpireUploads. Default:
	// DefaultUploadTTL.
	UploadTTL time.Duration
	// MaxUploads is how many unfinished uploads one owner can have: a named identity, or all
	// anonymous callers together. A further one is refused with [registry.ErrTooManyRequests]
	// before anything is written. An upload counts from its begin until it is committed, cancelled,
	// or has had no request for UploadTTL; one that has received nothing counts for ten seconds.
	// Each Store counts the uploads that it sees: n replicas together allow at most n times as
	// many, and one that restarts begins anew. Default: DefaultMaxUploads; negative: no limit.
	MaxUploads int
	// Grace is how long content that nothing names is left alone by Collect, from when it was
	// written, or found to be there by a push or by a HEAD of who may push. It should be at least
	// twice as long as the longest push takes. All Stores on a storage should have the same.
	// Default: DefaultGrace; negative: none.
	Grace time.Duration
	// History is how long it is kept what was done, and what was deleted can be restored; see
	// [registry.Restorer]. All Stores on a storage should have the same. A change of a tag or a
	// delete takes about three more requests to the storage then. Default: 0, none is kept.
	History time.Duration
	// Redirect, unless nil, has clients fetch large blobs from the storage itself, where the driver
	// is a [driver.URLSigner]. Default: they never do.
	Redirect *RedirectOptions
}

// Driver is the storage below a Store: an alias of [driver.Driver], where its contract is.
type Driver = driver.Driver

// Store is the standard [registry.Backend], over any [driver.Driver]. All its state is in the driver: any
// number of Stores, in any number of processes, may work on the same storage at once. It owns every
// rule of the layout and every order of writes.
//
// A blob, manifest, tag or delete that has been acknowledged is safe from a kill of the process and
// from loss of power, as far as the driver's Sync is.
type Store struct {
	registry.Unimplemented
	objects *object.Store
	opts    Options
	secret  []byte // signs the ids of uploads

	// What this process remembers, so as to ask the storage less. None of it decides who may do
	// what.
	ended  *lru.Cache[[16]byte, struct{}]     // uploads that have ended here
	known  *lru.Cache[[16]byte, uploadRecord] // uploads as they were left here
	signed *lru.Cache[string, signedURL]      // URLs of data, by key

	unfinished *unfinished
}

// repo is one repository of a Store.
type repo struct {
	object.Repo
	store *Store
}

// repo returns one repository. Its name must be valid.
func (s *Store) repo(name string) repo { return repo{Repo: s.objects.Repo(name), store: s} }

// withReserve returns the repository for an operation that frees space, see object.Store.WithReserve.
func (r repo) withReserve() repo {
	r.Repo.Store = r.Store.WithReserve()
	return r
}

var _ registry.Backend = (*Store)(nil)

// New returns a Store on driver d, and prepares an empty storage. opts may be nil. New starts nothing:
// no space is freed unless the caller runs [Store.CollectEvery] or [Store.Collect]. The Store need
// not be closed. The caller keeps ownership of d, and closes it, if it has to be closed, when no
// request is running any more.
//
// New fails if the storage does not respond, or if its layout is of a newer version of this
// package.
func New(ctx context.Context, d driver.Driver, opts *Options) (*Store, error) {
	if d == nil {
		return nil, errors.New("storage: no driver")
	}
	s := &Store{
		opts:   options.Value(opts),
		ended:  lru.New[[16]byte, struct{}](maxEnded),
		known:  lru.New[[16]byte, uploadRecord](maxKnown),
		signed: lru.New[string, signedURL](maxSigned),
	}
	if s.opts.UploadTTL == 0 {
		s.opts.UploadTTL = DefaultUploadTTL
	}
	if s.opts.UploadTTL < 0 {
		return nil, errors.New("storage: UploadTTL is negative")
	}
	if s.opts.MaxUploads == 0 {
		s.opts.MaxUploads = DefaultMaxUploads
	}
	s.unfinished = newUnfinished(max(s.opts.MaxUploads, 0))
	if s.opts.Grace == 0 {
		s.opts.Grace = DefaultGrace
	}
	if s.opts.History < 0 {
		return nil, errors.New("storage: History is negative")
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

// layoutRecord is the content of the object layoutKey.
type layoutRecord struct {
	Version int `json:"version"`
}

// checkLayout refuses a layout that this package does not know, and marks an empty storage as
// having this one's.
func (s *Store) checkLayout(ctx context.Context) error {
	b, err := s.objects.ReadOrCreate(ctx, object.LayoutKey, func() ([]byte, error) {
		return json.Marshal(layoutRecord{Version: object.LayoutVersion})
	})
	if err != nil {
		return err
	}
	var l layoutRecord
	if err := json.Unmarshal(b, &l); err != nil || l.Version < 1 {
		return fmt.Errorf("storage: the object %q does not tell a layout version", object.LayoutKey)
	}
	if l.Version > object.LayoutVersion {
		return fmt.Errorf("storage: layout version %d is newer than %d, the newest this program knows", l.Version,
			object.LayoutVersion)
	}
	return nil
}

const (
	// maxSigned is how many bytes of signed URLs are remembered.
	maxSigned = 4 << 20
)
