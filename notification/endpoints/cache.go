package endpoints

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/filter"
	"github.com/registrykit/registry/storage/driver"
)

// fullEvery is how often the endpoints are listed although the generation is the same: the process that changed one
// may have been killed before it changed the generation.
const fullEvery = time.Minute

// readWidth is the number of requests to the storage at a time.
const readWidth = 16

// target is an endpoint as one process knows it. It does not change.
type target struct {
	record
	scope    Scope
	version  string
	selector *filter.Selector
}

// set is all endpoints. It does not change.
type set struct {
	byID map[ID]*target
	// byScope has the targets of each scope. An event looks up three.
	byScope map[Scope][]*target
}

// cache is what this process knows of the endpoints.
type cache struct {
	e *Endpoints

	loading    sync.Mutex // one process of loading at a time
	generation string     // version of the object, "" if there is none
	listed     time.Time  // when the endpoints were last listed

	mu      sync.Mutex
	current *set
	checked time.Time // from when on current is right, by the monotonic clock
}

// fresh returns the endpoints if they are not too old.
func (c *cache) fresh() *set {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && !c.checked.IsZero() && time.Since(c.checked) < c.e.opts.Refresh {
		return c.current
	}
	return nil
}

// expire makes the next get look at the storage.
func (c *cache) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checked = time.Time{}
}

// forget makes the next get list the endpoints.
func (c *cache) forget() {
	c.loading.Lock()
	c.listed = time.Time{}
	c.loading.Unlock()
	c.expire()
}

// get returns the endpoints as they were at most Options.Refresh ago.
//
// Errors: those of the Driver.
func (c *cache) get(ctx context.Context) (*set, error) {
	if s := c.fresh(); s != nil {
		return s, nil
	}
	c.loading.Lock()
	defer c.loading.Unlock()
	if s := c.fresh(); s != nil {
		return s, nil
	}
	start := time.Now()
	generation, err := c.readGeneration(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	s := c.current
	c.mu.Unlock()
	if s == nil || generation != c.generation || start.Sub(c.listed) >= fullEvery {
		if s, err = c.list(ctx, s); err != nil {
			return nil, err
		}
		c.generation, c.listed = generation, start
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current, c.checked = s, start
	return s, nil
}

// readGeneration returns the version of the generation, or "" if no endpoint was ever made.
func (c *cache) readGeneration(ctx context.Context) (string, error) {
	r, info, err := c.e.driver.Open(ctx, generationKey, &driver.OpenOptions{IfNotVersion: c.generation})
	switch {
	case errors.Is(err, driver.ErrNotModified):
		return c.generation, nil
	case errors.Is(err, driver.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	}
	return info.Version, r.Close()
}

// list reads the endpoints that have changed since old, which may be nil.
func (c *cache) list(ctx context.Context, old *set) (*set, error) {
	var infos []driver.Info
	for info, err := range c.e.driver.List(ctx, endpointPrefix, nil) {
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	targets := make([]*target, len(infos))
	err := parallel.Each(readWidth, len(infos), func(i int) (err error) {
		id := keyID(infos[i].Key)
		if old != nil && old.byID[id] != nil && old.byID[id].version == infos[i].Version {
			targets[i] = old.byID[id]
			return nil
		}
		targets[i], err = c.e.target(ctx, infos[i].Key, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	s := &set{byID: map[ID]*target{}, byScope: map[Scope][]*target{}}
	for _, t := range targets {
		if t != nil {
			s.byID[t.ID] = t
			s.byScope[t.scope] = append(s.byScope[t.scope], t)
		}
	}
	return s, nil
}

// find returns an endpoint, or nil.
func (s *set) find(id ID) *target {
	if s == nil {
		return nil
	}
	return s.byID[id]
}

func keyID(key string) ID { return ID(key[strings.LastIndexByte(key, '/')+1:]) }

// target reads an endpoint. It returns nil for a missing endpoint. For an endpoint that cannot be used, it also returns
// nil, and logs why.
func (e *Endpoints) target(ctx context.Context, key string, id ID) (*target, error) {
	r, version, err := read[record](ctx, e.driver, key)
	switch {
	case errors.Is(err, driver.ErrNotExist):
		return nil, nil
	case err != nil && !errors.Is(err, errDamaged):
		return nil, err
	}
	t := &target{version: version}
	if err == nil {
		t.record = *r
		t.scope, err = id.Scope()
	}
	if err == nil && r.ID != id {
		err = errDamaged
	}
	if err == nil {
		p := r.endpoint(time.Time{})
		t.selector, err = filter.NewSelector(p.filter())
	}
	if err != nil {
		e.opts.Logger.Error("endpoints: skipped an endpoint that cannot be used", "key", key, "error", err)
		return nil, nil
	}
	return t, nil
}

// candidates returns the endpoints in whose scope an event may be.
func (s *set) candidates(ev notification.Event) [][]*target {
	all := s.byScope[Scope{}]
	switch {
	case ev.Action == notification.Missing:
		var every [][]*target
		for _, list := range s.byScope {
			every = append(every, list)
		}
		return every
	case ev.Action == notification.Account || ev.Repository == "":
		return [][]*target{all}
	}
	lists := [][]*target{all, s.byScope[Scope{Repository: ev.Repository}]}
	if ns := namespaceOf(ev.Repository); ns != "" {
		lists = append(lists, s.byScope[Scope{Namespace: ns}])
	}
	return lists
}

// maxSkew is how much the clocks of processes may differ: an event from before the creation of an endpoint is not for
// it, because the namespace may have belonged to somebody else.
const maxSkew = time.Minute

// selects returns an event as an endpoint gets it, and false if the endpoint does not get it.
func (t *target) selects(ev notification.Event) (notification.Event, bool) {
	if t.Disabled != nil || ev.Time.Before(t.Created.Add(-maxSkew)) {
		return ev, false
	}
	if t.scope != (Scope{}) {
		switch {
		case ev.Action == notification.Missing: // the numbers are about repositories of others
			ev = notification.Event{ID: ev.ID, Time: ev.Time, Action: ev.Action}
		case ev.From != "" && !t.scope.contains(ev.From):
			ev.From = ""
		}
	}
	return t.selector.Select(ev)
}
