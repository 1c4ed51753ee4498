package retention

import (
	"errors"
	"fmt"
	"time"

	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// Defaults of [Options].
const (
	// DefaultMaxElements is the default of Options.MaxElements.
	DefaultMaxElements = 1_000_000
	// DefaultParallel is the default of Options.Parallel.
	DefaultParallel = 16
)

// Options are the options of [New]. nil means the zero Options.
type Options struct {
	// Pulls has the times of pulls, for the conditions pulledWithin and notPulledWithin. Default:
	// nil, and New refuses rules with these conditions.
	Pulls *pulltime.Recorder
	// Protects returns a function that reports whether a tag of a repository must stay whatever the
	// rules say. It returns nil if no tag of the repository must. It is the function of
	// filter.ImmutableOptions.Protects: pass the same one, so that a plan shows what the filter
	// would refuse. Default: nil, no tag is protected.
	Protects func(repo string) (protected func(tag string) bool)
	// MinAge is the time for which everything stays that was pushed: a tag since it was set, a
	// manifest since it was pushed, or since a client with push access renewed its grace period.
	// It is for pushes in progress, whose parts arrive one after another. A manifest stays for at least
	// half the grace period of the Store, because a push within that time does not write it again.
	// Default: the grace period, see storage.Options.Grace. Negative means no such time.
	MinAge time.Duration
	// ReadOnly makes plans without writing to the storage. What was first seen untagged is then not
	// noted, see [Planner.Evaluate]. Default: false.
	ReadOnly bool
	// MaxElements is the maximum number of tags and manifests of a repository, together. A
	// repository with more is left alone: its evaluation fails with [ErrTooLarge], and a plan says
	// so. While its repository is evaluated, a tag takes about 400 bytes of memory, a manifest
	// about 600 and 30 for each blob that it names, and a blob about 200. Default:
	// DefaultMaxElements, one million. A negative value is an error.
	MaxElements int
	// Parallel is the maximum number of requests to the storage at a time. Default:
	// DefaultParallel, 16. A negative value is an error.
	Parallel int
}

// ErrTooLarge is returned for a repository with more tags and manifests than Options.MaxElements.
var ErrTooLarge = errors.New("retention: the repository has too many tags and manifests")

// Planner decides by rules what stays and what goes. It changes nothing that clients can see. It is
// safe for concurrent use.
type Planner struct {
	store  *storage.Store
	driver driver.Driver
	rules  *Rules
	opts   Options

	renewal time.Duration // up to that age, a push does not write the record of a manifest again

	manifests *lru.Cache[manifestKey, *parsed]
	images    *lru.Cache[imageKey, *imageFacts]
}

// New returns a Planner of a store on the driver d. It makes no request and starts nothing. opts
// may be nil. Without rules, everything stays: a program that only applies and undoes plans passes
// nil, because a plan has its rules.
//
// Errors: an error for an invalid option; an error with the file and line of a rule about pulls if
// Options.Pulls is nil.
func New(s *storage.Store, d driver.Driver, rules *Rules, opts *Options) (*Planner, error) {
	p := &Planner{store: s, driver: d, opts: options.Value(opts)}
	switch {
	case s == nil || d == nil:
		return nil, errors.New("retention: the store or the driver is nil")
	case p.opts.MaxElements < 0 || p.opts.Parallel < 0:
		return nil, errors.New("retention: Options.MaxElements or Options.Parallel is negative")
	}
	options.Default(&p.opts.MaxElements, DefaultMaxElements)
	options.Default(&p.opts.Parallel, DefaultParallel)
	options.Default(&p.opts.MinAge, s.Inventory().Grace())
	p.renewal = s.Inventory().Grace() / 2
	p.manifests = lru.New[manifestKey, *parsed](maxParsed)
	p.images = lru.New[imageKey, *imageFacts](maxImages)
	return p.WithRules(rules)
}

// WithRules returns a Planner with other rules that shares everything else with p. Apply uses it
// with the rules of a plan.
//
// Errors: those of New about rules.
func (p *Planner) WithRules(rules *Rules) (*Planner, error) {
	if rules == nil {
		rules = &Rules{}
	}
	for _, r := range rules.list {
		if p.opts.Pulls == nil && r.asks((*conditions).asksPulls) {
			return nil, fmt.Errorf("retention: %s: rule %q is about pulls, which this program does not record", r.place, r.name)
		}
	}
	other := *p
	other.rules = rules
	return &other, nil
}

// Rules returns the rules.
func (p *Planner) Rules() *Rules { return p.rules }
