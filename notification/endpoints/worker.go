package endpoints

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

// maxItems is the maximum number of waiting deliveries of an endpoint in memory. Others are read from the storage.
const maxItems = 100

// worker makes the deliveries of one endpoint, one after the other. It exists while there are any.
type worker struct {
	id ID

	// Endpoints.mu guards the following.
	sources []*source // the oldest prefix first
	running bool

	// Only the goroutine of the worker uses the following.
	failing  bool      // the last attempt failed or was slow
	failures int       // failed attempts of the first item
	unread   int       // failed attempts to read the endpoint
	refused  time.Time // since when the receiver has refused it, or zero
}

// source is the waiting deliveries of one endpoint in one prefix. Endpoints.mu guards it.
type source struct {
	prefix  *prefix
	items   []item
	more    bool // the storage has further ones, which come after items
	loading bool // they are being read
	waiting int  // number of deliveries, as far as it is known
	full    bool // further events are dropped
}

// item is a waiting delivery.
type item struct {
	id string
	waiting
	found bool // it was read from the storage, so there may have been attempts
}

// find returns the source of a prefix, or nil.
func (w *worker) find(p *prefix) *source {
	for _, s := range w.sources {
		if s.prefix == p {
			return s
		}
	}
	return nil
}

// add makes a waiting delivery known that is in the storage. Without one, the storage is read.
func (e *Endpoints) add(p *prefix, id ID, c *copied) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.lost || e.ended {
		return // another process makes it
	}
	w := e.workers[id]
	if w == nil {
		w = &worker{id: id}
		e.workers[id] = w
	}
	s := w.find(p)
	if s == nil {
		s = &source{prefix: p}
		p.sources++
		w.sources = append(w.sources, s)
		slices.SortFunc(w.sources, func(a, b *source) int { return strings.Compare(a.prefix.id, b.prefix.id) })
	}
	if c != nil {
		s.waiting++
	}
	if c == nil || s.more || s.loading || len(s.items) >= maxItems || e.ctx == nil {
		s.more = true
	} else {
		s.items = append(s.items, item{id: c.id, waiting: c.waiting})
	}
	e.start(w)
}

// start starts the goroutine of a worker if Run is running. The caller holds the lock.
func (e *Endpoints) start(w *worker) {
	if e.ctx == nil || w.running {
		return
	}
	w.running = true
	ctx := e.ctx
	e.group.Go(func() { e.work(ctx, w) })
}

// work makes the deliveries of an endpoint until there are none, or until ctx ends.
func (e *Endpoints) work(ctx context.Context, w *worker) {
	for {
		s, next := e.next(ctx, w)
		switch {
		case s == nil:
			return
		case next == nil:
			if err := e.fill(ctx, w, s); err != nil && ctx.Err() == nil {
				e.opts.Logger.Warn("endpoints: cannot read waiting deliveries", "endpoint", w.id, "error", err)
				_ = pause.Sleep(ctx, time.Second)
			}
		default:
			e.deliver(ctx, w, s, next)
		}
	}
}

// next returns the next delivery of a worker and its source. The item is nil if the source must be read first. The
// source is nil if there is nothing to do, and the worker has ended then.
func (e *Endpoints) next(ctx context.Context, w *worker) (*source, *item) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ctx.Err() != nil {
		w.running = false
		return nil, nil
	}
	for len(w.sources) > 0 {
		s := w.sources[0]
		switch {
		case s.prefix.lost:
		case len(s.items) > 0:
			next := s.items[0]
			return s, &next
		case s.more:
			s.more, s.loading = false, true
			return s, nil
		}
		s.prefix.sources--
		s.prefix.used = time.Now()
		w.sources = w.sources[1:]
	}
	w.running = false
	delete(e.workers, w.id)
	return nil, nil
}

// fill reads waiting deliveries of a source from the storage.
func (e *Endpoints) fill(ctx context.Context, w *worker, s *source) (err error) {
	var found []item
	whole := false // the storage has no further ones
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		s.loading = false
		s.items = found
		s.more = s.more || !whole || err != nil
		s.waiting = max(s.waiting, len(found))
	}()
	prefix := waitingPrefix + s.prefix.id + "/" + string(w.id) + "/"
	var ids []string
	for info, err := range e.driver.List(ctx, prefix, &driver.ListOptions{KeysOnly: true, PageHint: maxItems}) {
		if err != nil {
			return err
		}
		if ids = append(ids, strings.TrimPrefix(info.Key, prefix)); len(ids) == maxItems {
			break
		}
	}
	items := make([]item, len(ids))
	err = parallel.Each(readWidth, len(ids), func(i int) error {
		r, _, err := read[waiting](ctx, e.driver, prefix+ids[i])
		switch {
		case errors.Is(err, driver.ErrNotExist):
			return nil // its endpoint was removed
		case errors.Is(err, errDamaged), err == nil && r.Event.Action == "":
			e.opts.Logger.Error("endpoints: a waiting delivery cannot be read", "key", prefix+ids[i])
			r = &waiting{Event: lostEvent(time.Now().UTC(), 1, "corrupt"), Time: time.Now()}
		case err != nil:
			return err
		}
		items[i] = item{id: ids[i], waiting: *r, found: true}
		return nil
	})
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(items, func(i item) bool { return i.id == "" })
	whole = len(ids) < maxItems
	return nil
}

// lostEvent returns the event about missing events for an endpoint.
func lostEvent(at time.Time, events int64, reason string) notification.Event {
	return notification.Event{ID: notification.NewID(), Time: at, Action: notification.Missing,
		Gap: &notification.Gap{Events: events, First: at, Last: at, Reason: reason}}
}

// finish removes a waiting delivery that was made, given up, or whose endpoint is gone.
func (e *Endpoints) finish(ctx context.Context, w *worker, s *source, i *item) {
	w.failures, w.refused = 0, time.Time{}
	key := waitingPrefix + s.prefix.id + "/" + string(w.id) + "/" + i.id
	e.insist(ctx, "remove a waiting delivery", func() error { return remove(ctx, e.driver, key) })
	e.mu.Lock()
	defer e.mu.Unlock()
	s.waiting = max(s.waiting-1, 0)
	s.prefix.used = time.Now()
	if len(s.items) > 0 && s.items[0].id == i.id {
		s.items = s.items[1:]
	}
}

// insist calls f until it succeeds, or until ctx ends.
func (e *Endpoints) insist(ctx context.Context, what string, f func() error) {
	for n := 1; ; n++ {
		err := f()
		if err == nil || ctx.Err() != nil {
			return
		}
		e.opts.Logger.Warn("endpoints: cannot "+what, "error", err)
		_ = pause.Sleep(ctx, pause.Backoff(n, 100*time.Millisecond, 10*time.Second))
	}
}
