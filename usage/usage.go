package usage

import (
	"errors"
	"time"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// DefaultParallel is the default of Options.Parallel.
const DefaultParallel = 16

// Options are the options of [New]. nil means the zero Options.
type Options struct {
	// Parallel is the maximum number of requests to the storage at a time, for each call. Default:
	// DefaultParallel, 16. A negative value is an error.
	Parallel int
	// Rate is the maximum number of requests to the storage per second, for each call. Default: 0,
	// which means no limit. A negative value is an error.
	Rate int
	// Now is the clock by which counts begin, for tests and demonstrations. Default: time.Now.
	Now func() time.Time
}

// Meter counts and reports. It keeps no state in memory. It is safe for concurrent use.
type Meter struct {
	store  *storage.Store
	driver driver.Driver
	opts   Options

	partSize  int64         // maximum size of an object with a part of a table, in bytes
	pageSize  int64         // maximum size of a page of a snapshot, in bytes
	keepPages time.Duration // how long pages of earlier snapshots stay
	now       func() time.Time
}

// New returns a Meter of a store on the driver d. It makes no request and starts nothing. opts may be
// nil.
//
// Errors: an error if s or d is nil, or if an option is negative.
func New(s *storage.Store, d driver.Driver, opts *Options) (*Meter, error) {
	if s == nil || d == nil {
		return nil, errors.New("usage: the store or the driver is nil")
	}
	m := &Meter{
		store: s, driver: d, opts: options.Value(opts),
		partSize: maxPart, pageSize: maxPage, keepPages: keepPages, now: time.Now,
	}
	if m.opts.Now != nil {
		m.now = m.opts.Now
	}
	options.Default(&m.opts.Parallel, DefaultParallel)
	if m.opts.Parallel < 0 || m.opts.Rate < 0 {
		return nil, errors.New("usage: Options.Parallel or Options.Rate is negative")
	}
	if limit := d.MaxObjectSize(); limit > 0 {
		m.partSize = min(m.partSize, limit)
		m.pageSize = min(m.pageSize, limit-1024) // the first line
	}
	return m, nil
}
