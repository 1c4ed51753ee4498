package quota

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/usage"
)

// Defaults of [Options].
const (
	DefaultEvery = 6 * time.Hour
	DefaultHold  = time.Hour
)

// Options are the options of [New]. nil means the zero Options.
type Options struct {
	// Soft is called when a prefix exceeds a soft limit, once for each crossing, on the replica whose
	// push exceeded it. It is called again after the prefix was below the limit in the meantime. It
	// delays pushes below the prefix until it returns. A process that dies right after the write may
	// not call it. Default: nil, no calls.
	Soft func(ctx context.Context, c Crossing)
	// Sink receives an event with the action notification.Quota for each crossing, like Soft. An event
	// that the Sink refuses is not repeated. Instance is the name of this process in the event.
	// Default: no events.
	Sink     notification.Sink
	Instance string
	// Every is how old the figure of a prefix may be before Run counts the prefix. Replicas take
	// turns. Default: DefaultEvery, six hours. A negative value is an error.
	Every time.Duration
	// Hold is how long the bytes of an unfinished upload, or of a push whose process has died, count
	// without a sign of life. The clocks of the replicas must agree better than that. Default:
	// DefaultHold, one hour. Less than a minute is an error. An upload that goes on after it has
	// expired counts again from its next request.
	Hold time.Duration
	// Meter lists repositories with the sizes of their content when a prefix is counted. Default: a
	// Meter of the Store and the driver.
	Meter *usage.Meter
	// Counted is called by Run after each count of this process, with its error or nil. Default: nil.
	Counted func(prefix string, err error)
}

// Crossing is a soft limit that a prefix has exceeded.
type Crossing struct {
	// Prefix is the prefix of repository names, and Resource what is limited.
	Prefix   string   `json:"prefix"`
	Resource Resource `json:"resource"`
	// Used is what the prefix has now. Soft is the soft limit, and Max the limit, or 0.
	Used int64 `json:"used"`
	Soft int64 `json:"soft"`
	Max  int64 `json:"max,omitempty"`
}

// event returns the event of the crossing, which the caller of the push has caused.
func (c Crossing) event(ctx context.Context, instance string) notification.Event {
	return notification.Event{
		ID: notification.NewID(), Time: time.Now(), Action: notification.Quota, Instance: instance,
		Actor: registry.IdentityFrom(ctx).Name,
		Limit: &notification.Limit{Prefix: c.Prefix, Resource: string(c.Resource), Used: c.Used, Soft: c.Soft, Max: c.Max},
	}
}

// Quotas is a [registry.Backend] that enforces limits. It is safe for concurrent use.
type Quotas struct {
	registry.Unimplemented

	next   registry.Backend
	store  *storage.Store
	driver driver.Driver
	limits *Limits
	opts   Options

	settleAfter, minAge time.Duration // see the constants; tests change them

	// seen has names of content that prefixes have, as keys of Quotas.seenKey. It only saves requests.
	seen *lru.Cache[string, struct{}]

	mu       sync.Mutex
	accounts map[string]*account // by prefix
}

// maxSeen is the maximum size of Quotas.seen, in bytes.
const maxSeen = 8 << 20

// New returns a Backend that enforces limits on the writes to next, which stores its content in
// store on the driver d. next may be store itself, or a filter around it that leaves the names of
// repositories as they are. A storage must have one Quotas at most in a chain of filters; all
// replicas have the same limits. New makes no request and starts nothing, see [Quotas.Run]. opts
// may be nil.
//
// Errors: an error for a missing argument or an invalid option.
func New(next registry.Backend, store *storage.Store, d driver.Driver, limits *Limits, opts *Options) (*Quotas, error) {
	if next == nil || store == nil || d == nil || limits == nil {
		return nil, errors.New("quota: the backend, the store, the driver or the limits are nil")
	}
	o := options.Value(opts)
	options.Default(&o.Every, DefaultEvery)
	options.Default(&o.Hold, DefaultHold)
	if o.Every < 0 || o.Hold < time.Minute {
		return nil, errors.New("quota: Options.Every is negative, or Options.Hold is less than a minute")
	}
	if o.Meter == nil {
		var err error
		if o.Meter, err = usage.New(store, d, nil); err != nil {
			return nil, err
		}
	}
	return &Quotas{
		next: next, store: store, driver: d, limits: limits, opts: o,
		settleAfter: settleAfter, minAge: minAge,
		seen: lru.New[string, struct{}](maxSeen), accounts: map[string]*account{},
	}, nil
}

// of returns the account of a repository, or nil if it has no limit.
func (q *Quotas) of(repo string) *account {
	r, prefix := q.limits.of(repo)
	if r == nil {
		return nil
	}
	return q.account(r, prefix)
}

// account returns the account of a prefix of a rule.
func (q *Quotas) account(r *rule, prefix string) *account {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.accounts[prefix]
	if a == nil {
		prefix = strings.Clone(prefix) // a part of the text of a request would keep all of it
		a = &account{
			q: q, rule: r, prefix: prefix, key: q.limits.key(r, prefix), counts: r.counts(),
			turn: make(chan struct{}, 1), counting: make(chan struct{}, 1),
		}
		q.accounts[prefix] = a
	}
	return a
}

// report calls Options.Soft for the soft limits that a write has exceeded.
func (q *Quotas) report(ctx context.Context, a *account, r *record, crossed []Resource) {
	for _, res := range crossed {
		c := Crossing{Prefix: a.prefix, Resource: res, Used: r.figure().Of(res),
			Soft: a.rule.Soft.Of(res), Max: a.rule.Max.Of(res)}
		if q.opts.Soft != nil {
			q.opts.Soft(ctx, c)
		}
		if q.opts.Sink != nil {
			// The push goes on if the event is refused: the limit is soft.
			_ = q.opts.Sink.Notify(ctx, []notification.Event{c.event(ctx, q.opts.Instance)})
		}
	}
}

// State is what a limited prefix has. Resources that are not limited are zero.
type State struct {
	// Prefix is the prefix of repository names.
	Prefix string `json:"prefix"`
	// Used is what counts at present: the figure of the last count, and what was pushed since.
	Used Amounts `json:"used"`
	// Pending is the part of Used that belongs to uploads and pushes that have not ended.
	Pending Amounts `json:"pending"`
	// Max and Soft are the limits. Zero means none.
	Max  Amounts `json:"max"`
	Soft Amounts `json:"soft"`
	// Counted is when the last count began.
	Counted time.Time `json:"counted"`
}

// ErrNoLimit is returned for a repository or prefix that has no limit.
var ErrNoLimit = errors.New("quota: no limit applies")

// State returns what the prefix has whose limit applies to a repository. It makes one request. If
// the prefix has never been counted, it counts it.
//
// Errors: ErrNoLimit; any error of the driver.
func (q *Quotas) State(ctx context.Context, repo string) (State, error) {
	if err := registry.CheckName(repo); err != nil {
		return State{}, err
	}
	a := q.of(repo)
	if a == nil {
		return State{}, ErrNoLimit
	}
	return a.state(ctx)
}

func (a *account) state(ctx context.Context) (State, error) {
	r, err := a.refresh(ctx)
	if err != nil {
		return State{}, err
	}
	if r.Counted == nil {
		if err := a.count(ctx); err != nil {
			return State{}, err
		}
		if r, err = a.refresh(ctx); err != nil {
			return State{}, err
		}
		if r.Counted == nil {
			return State{}, errUncounted
		}
	}
	return State{Prefix: a.prefix, Used: r.figure().only(a.counts), Pending: r.held().only(a.counts),
		Max: a.rule.Max, Soft: a.rule.Soft, Counted: r.Counted.Time}, nil
}

// States yields the state of each prefix to which anything was pushed, or that was counted, in
// ascending byte order of the prefixes. An error ends the iteration.
func (q *Quotas) States(ctx context.Context) iter.Seq2[State, error] {
	return q.states(ctx, "")
}

// StatesAfter is States for the prefixes after one, for a list in pages. The prefix "", for all
// repositories, comes last.
func (q *Quotas) StatesAfter(ctx context.Context, prefix string) iter.Seq2[State, error] {
	return q.states(ctx, keyPrefix+escapedPrefix(prefix)+"/~") // the keys of the prefix end with hexadecimal digits
}

// StateOf returns what a prefix has, such as "team", "users/ann" for the limit of "users/*", or ""
// for all repositories. It makes one request. If the prefix has never been counted, it counts it.
//
// Errors: ErrNoLimit if no limit has the prefix; any error of the driver.
func (q *Quotas) StateOf(ctx context.Context, prefix string) (State, error) {
	r := q.limits.ofPrefix(prefix)
	if r == nil {
		return State{}, fmt.Errorf("%w to the prefix %q", ErrNoLimit, prefix)
	}
	return q.account(r, prefix).state(ctx)
}

// Limits returns the limits.
func (q *Quotas) Limits() *Limits { return q.limits }

// states yields the states of the prefixes whose keys are after a key.
func (q *Quotas) states(ctx context.Context, after string) iter.Seq2[State, error] {
	return func(yield func(State, error) bool) {
		for a, err := range q.recorded(ctx, after) {
			var s State
			if err == nil {
				s, err = a.state(ctx)
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}

// recorded yields the accounts that have a record.
func (q *Quotas) recorded(ctx context.Context, after string) iter.Seq2[*account, error] {
	return func(yield func(*account, error) bool) {
		for info, err := range q.driver.List(ctx, keyPrefix, &driver.ListOptions{KeysOnly: true, After: after}) {
			if err != nil {
				yield(nil, err)
				return
			}
			if a := q.ofKey(info.Key); a != nil && !yield(a, nil) {
				return
			}
		}
	}
}

// ofKey returns the account with the record at key, or nil if the present limits have none.
func (q *Quotas) ofKey(key string) *account {
	escaped, _, _ := strings.Cut(strings.TrimPrefix(key, keyPrefix), "/")
	prefix := ""
	if escaped != noPrefix {
		prefix = objectkey.Unescape(escaped)
	}
	r := q.limits.ofPrefix(prefix)
	if r == nil || q.limits.key(r, prefix) != key {
		return nil
	}
	return q.account(r, prefix)
}

// refresh reads the record.
//
// Errors: one of unavailable; the error of ctx.
func (a *account) refresh(ctx context.Context) (*record, error) {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if _, err := a.load(ctx, true); err != nil {
		return nil, unavailable(a.prefix, err)
	}
	return a.rec, nil
}
