package accounts

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

const (
	// maxCached is the maximum weight of all facts in memory, in bytes: about 150,000 accounts of
	// the usual size.
	maxCached = 128 << 20
	// entryWeight is the weight of an entry beside its key and its content.
	entryWeight = 256
	// valueWeight is the weight of a value made of several objects, beside what weightOf returns.
	valueWeight = 1 << 10
)

// cache holds facts that requests need, present and absent ones. A fact is used for
// Options.Refresh; then one of those who need it asks the storage whether it has changed, and the
// others wait. The process that changes a fact forgets it.
//
// The entries are in two generations, as those of internal/lru; that package would keep the key
// that each look-up passes in, and so make the caller allocate it.
type cache struct {
	refresh time.Duration
	max     int // maxCached, or less in tests
	now     func() time.Time

	mu         sync.Mutex
	young, old map[string]*entry
	weight     int // of young
	flights    map[string]*flight

	changes atomic.Uint64 // counts calls of forget; see memo.go
}

// entry is a fact in memory. It does not change.
type entry struct {
	key     string
	fact    any // *T, or nil if there is none
	version string
	read    time.Time // when the request to the storage began
	weight  int
}

// flight is a request to the storage that several callers wait for.
type flight struct {
	began time.Time
	done  chan struct{}
	// entry and err are valid once done is closed. Both are nil if the caller who made the request
	// gave up.
	entry *entry
	err   error
}

func newCache(refresh time.Duration, now func() time.Time) *cache {
	return &cache{refresh: refresh, max: maxCached, now: now, young: map[string]*entry{}, flights: map[string]*flight{}}
}

// forget makes the next reader ask the storage. A request that is on its way may have seen the old
// fact, so its answer is not kept, and nobody joins it any more.
func (c *cache) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, key)
	c.remove(key)
	c.changes.Add(1)
}

// cached returns a fact that was read at most Options.Refresh ago. It must not be changed.
//
// A look-up that finds a fact in memory allocates nothing, not even the key if that is short: the
// compiler sees that key does not escape.
//
// Errors: ErrUnknown; those of the Driver.
func cached[T any](ctx context.Context, a *Accounts, key string) (*T, error) {
	if e := a.facts.fresh(key); e != nil {
		return factOf[T](e)
	}
	kept := strings.Clone(key) // key itself must not be part of the closure, or it would escape
	e, err := a.facts.fetch(ctx, kept, func(ctx context.Context, last *entry) (*entry, error) {
		s, version, err := load[T](ctx, a.driver, kept, last.version)
		switch {
		case errors.Is(err, driver.ErrNotModified):
			return &entry{fact: last.fact, version: last.version, weight: last.weight}, nil
		case err != nil:
			return &entry{}, err
		}
		return &entry{fact: &s.Fact, version: version, weight: s.size}, nil
	})
	if err != nil {
		return nil, err
	}
	return factOf[T](e)
}

// cachedValue returns a value that read has returned at most Options.Refresh ago, for values made
// of several objects, such as a list. read gets the last value and its version, or nil and "". The
// value is forgotten by forget(key).
//
// Errors: those of read. ErrUnknown is remembered, too.
func cachedValue[T any](ctx context.Context, a *Accounts, key string,
	read func(ctx context.Context, old *T, version string) (*T, string, error)) (*T, error) {
	if e := a.facts.fresh(key); e != nil {
		return factOf[T](e)
	}
	e, err := a.facts.fetch(ctx, strings.Clone(key), func(ctx context.Context, last *entry) (*entry, error) {
		old, _ := last.fact.(*T)
		fact, version, err := read(ctx, old, last.version)
		if err != nil {
			return &entry{}, err
		}
		return &entry{fact: fact, version: version, weight: valueWeight + weightOf(fact)}, nil
	})
	if err != nil {
		return nil, err
	}
	return factOf[T](e)
}

// weightOf returns about how much memory a value takes that grows with the number of objects it is made of.
func weightOf(value any) int {
	const short, long = 32, 256 // an ID; the name of a repository or a pattern, with what belongs to it
	switch v := value.(type) {
	case *visibilities:
		return long * len(v.records)
	case *[]ID:
		return short * len(*v)
	case []string:
		return long / 2 * len(v)
	case []Grant:
		return long * len(v)
	}
	return 0
}

func factOf[T any](e *entry) (*T, error) {
	if e.fact == nil {
		return nil, ErrUnknown
	}
	return e.fact.(*T), nil
}

// fresh returns the entry of a key if it need not be read again, or nil.
func (c *cache) fresh(key string) *entry {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.get(key); e != nil && c.current(now, e.read) {
		return e
	}
	return nil
}

// current reports whether what was read at a time counts now. A time in the future is that of a
// clock that was put back.
func (c *cache) current(now, read time.Time) bool {
	age := now.Sub(read)
	return age >= 0 && age < c.refresh
}

// fetch returns a fresh entry, by a call of read or the answer that another caller gets. read gets
// the last entry, or an empty one, and returns the fact, version and weight.
func (c *cache) fetch(ctx context.Context, key string,
	read func(ctx context.Context, last *entry) (*entry, error)) (*entry, error) {
	for {
		now := c.now()
		c.mu.Lock()
		last := c.get(key)
		if last != nil && c.current(now, last.read) {
			c.mu.Unlock()
			return last, nil
		}
		f := c.flights[key]
		if f == nil || !c.current(now, f.began) {
			f = &flight{began: now, done: make(chan struct{})}
			c.flights[key] = f
			c.mu.Unlock()
			return c.fly(ctx, key, f, last, read)
		}
		c.mu.Unlock()
		select {
		case <-f.done:
			if f.entry != nil || f.err != nil {
				return f.entry, f.err
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// fly makes the request that others wait for. If ctx ends, one of them makes it again.
func (c *cache) fly(ctx context.Context, key string, f *flight, last *entry,
	read func(ctx context.Context, last *entry) (*entry, error)) (*entry, error) {
	var e *entry
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.flights[key] == f {
			delete(c.flights, key)
			if e != nil {
				c.add(e)
			}
		}
		close(f.done)
	}()
	if last == nil {
		last = &entry{}
	}
	got, err := read(ctx, last)
	if ignore(err, ErrUnknown) != nil {
		if ctx.Err() == nil {
			f.err = err
		}
		return nil, err
	}
	e = got
	e.key, e.read = key, f.began
	f.entry = e
	return e, nil
}

// get returns the entry of a key, fresh or not, or nil. The caller holds the lock.
func (c *cache) get(key string) *entry {
	if e := c.young[key]; e != nil {
		return e
	}
	e := c.old[key]
	if e != nil {
		delete(c.old, key)
		c.insert(e)
	}
	return e
}

func (c *cache) add(e *entry) {
	c.remove(e.key)
	c.insert(e)
}

// insert puts an entry that is in neither generation into the younger one.
func (c *cache) insert(e *entry) {
	w := entryWeight + len(e.key) + e.weight
	if c.weight+w > c.max/2 {
		c.young, c.old, c.weight = map[string]*entry{}, c.young, 0
	}
	c.young[e.key] = e
	c.weight += w
}

func (c *cache) remove(key string) {
	if e := c.young[key]; e != nil {
		c.weight -= entryWeight + len(e.key) + e.weight
		delete(c.young, key)
	}
	delete(c.old, key)
}
