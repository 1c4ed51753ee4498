package search

import (
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage"
)

// Defaults of [Options].
const (
	DefaultEvery    = time.Minute
	DefaultReads    = 1000
	DefaultMaxBytes = 64 << 20
)

// Lister lists repositories. A registry.Backend is a Lister.
type Lister interface {
	// Repositories yields the names of the repositories in ascending byte order.
	Repositories(ctx context.Context, opts *registry.ListOptions) iter.Seq2[string, error]
}

// Options are the options of [New]. nil means the zero Options.
type Options struct {
	// Accounts are the accounts, and the descriptions of the repositories. Default: none, and only
	// names of repositories are found.
	Accounts accounts.Manager
	// Content is where the index reads tags and images. It must have the repositories of the Lister
	// under the same names. Default: nil, and tags and images are not found.
	Content *storage.Store
	// Every is the time between two refreshes of Run. Default: DefaultEvery, one minute. A negative
	// value is an error.
	Every time.Duration
	// Reads is the maximum number of descriptions, that of accounts, and that of tags and images,
	// which a refresh reads. The first one reads all. Default: DefaultReads, 1000. A negative value
	// is an error.
	Reads int
	// MaxBytes is about the memory that the index may take, in bytes. Names, and the tags and images
	// of repositories, beyond it are left out; see State.LeftOut. A refresh takes up to half as much
	// in addition. Default: DefaultMaxBytes, 64 MiB. A negative value is an error.
	MaxBytes int
	// Failed is called by Run for each refresh that fails. The index stays as it was. Default:
	// none.
	Failed func(ctx context.Context, err error)
}

// Index is an index of names, tags and images in memory. It is safe for concurrent use.
type Index struct {
	repositories Lister
	opts         Options

	refreshing sync.Mutex // held during a refresh
	cycle      cycle
	current    atomic.Pointer[snapshot]
	seed       maphash.Seed

	mu      sync.Mutex
	changed map[string]bool // repositories that Notify has named since they were read
	woken   chan struct{}   // has an element if changed is not empty
}

// State describes an [Index].
type State struct {
	// Built is when the last refresh began, or the zero Time before the first one has ended.
	Built time.Time
	// Repositories and Accounts are the numbers of names in the index.
	Repositories, Accounts int
	// Tags and Images are the numbers of tags and manifests in the index.
	Tags, Images int
	// Unread is the number of repositories whose tags and images were not all read yet.
	Unread int
	// LeftOut is the number of repositories and accounts that Options.MaxBytes has left out, wholly
	// or with their tags and images.
	LeftOut int
	// Bytes is about the memory that the index takes.
	Bytes int
}

// New returns an empty index. It makes no request and starts nothing: call [Index.Run], or
// [Index.Refresh]. opts may be nil.
//
// Errors: an error if repositories is nil, or if an option is negative.
func New(repositories Lister, opts *Options) (*Index, error) {
	o := options.Value(opts)
	switch {
	case repositories == nil:
		return nil, errors.New("search: no repositories")
	case o.Every < 0 || o.Reads < 0 || o.MaxBytes < 0:
		return nil, errors.New("search: Every, Reads and MaxBytes must not be negative")
	}
	options.Default(&o.Every, DefaultEvery)
	options.Default(&o.Reads, DefaultReads)
	options.Default(&o.MaxBytes, DefaultMaxBytes)
	x := &Index{repositories: repositories, opts: o, seed: maphash.MakeSeed(), changed: map[string]bool{},
		woken: make(chan struct{}, 1)}
	x.current.Store(&snapshot{room: o.MaxBytes})
	return x, nil
}

// Run refreshes the index at once and then every Options.Every, until ctx ends. Repositories that
// Notify has named are read within a second.
//
// Errors: that of ctx. Errors of refreshes go to Options.Failed.
func (x *Index) Run(ctx context.Context) error {
	ticker := time.NewTicker(x.opts.Every)
	defer ticker.Stop()
	do := x.Refresh
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil && x.opts.Failed != nil {
			x.opts.Failed(ctx, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			do = x.Refresh
		case <-x.woken:
			do = x.updateSoon
		}
	}
}

// updateSoon waits for further events, and then reads the repositories that have changed.
//
// Errors: those of Options.Content.
func (x *Index) updateSoon(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settle):
		return x.update(ctx)
	}
}

// State returns the state of the index.
func (x *Index) State() State {
	s := x.current.Load()
	state := State{Built: s.built, Repositories: len(s.repositories), Accounts: len(s.accounts), LeftOut: s.leftOut}
	if s.built.IsZero() {
		return state
	}
	state.Bytes = x.opts.MaxBytes - s.room
	for _, e := range s.repositories {
		switch {
		case e.full:
			state.LeftOut++
		case e.content != nil:
			state.Tags += len(e.content.tags)
			state.Images += len(e.content.manifests)
		}
		if x.opts.Content != nil && !e.full && (e.content == nil || e.content.unread) {
			state.Unread++
		}
	}
	return state
}
