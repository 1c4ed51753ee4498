package endpoints

import (
	"context"
	"time"

	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

// copied is an event for one endpoint.
type copied struct {
	target *target
	index  int // of the event in the call of Notify
	id     string
	waiting
}

// Notify copies events to the waiting deliveries of the endpoints that select them. It returns when they are durable.
// An outbox calls it.
//
// Errors: those of the Driver, in a [notification.PartialError] if the first events were copied.
func (e *Endpoints) Notify(ctx context.Context, events []notification.Event) error {
	all, err := e.cache.get(ctx)
	if err != nil {
		return err
	}
	list := match(all, events)
	if len(list) == 0 {
		return nil
	}
	p, err := e.lead(ctx)
	if err != nil {
		return err
	}
	defer e.follow(p)
	list = e.admit(p, list)
	errs := make([]error, len(list))
	_ = parallel.Each(readWidth, len(list), func(i int) error {
		key := waitingPrefix + p.id + "/" + string(list[i].target.ID) + "/" + list[i].id
		_, errs[i] = write(ctx, e.driver, key, &list[i].waiting, driver.PutOptions{})
		return nil
	})
	done, failed := len(events), error(nil)
	for i, err := range errs {
		if err != nil && list[i].index < done {
			done, failed = list[i].index, err
		}
	}
	for i := range list {
		if failed != nil {
			e.add(p, list[i].target.ID, nil) // what was written is found in the storage
			continue
		}
		e.add(p, list[i].target.ID, &list[i])
	}
	return notification.Partial(done, failed)
}

// match returns the events for each endpoint, in the order of the events.
func match(all *set, events []notification.Event) []copied {
	var list []copied
	now := time.Now().Round(0).UTC()
	for i, ev := range events {
		for _, candidates := range all.candidates(ev) {
			for _, t := range candidates {
				if selected, ok := t.selects(ev); ok {
					list = append(list, copied{t, i, deliveryID(&selected), waiting{selected, now}})
				}
			}
		}
	}
	return list
}

// admit leaves out the events for endpoints with too many waiting deliveries. The first one of them becomes an event
// with the action Missing.
func (e *Endpoints) admit(p *prefix, list []copied) []copied {
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := list[:0]
	added := map[ID]int{}
	for _, c := range list {
		var s *source
		if w := e.workers[c.target.ID]; w != nil {
			s = w.find(p)
		}
		n := added[c.target.ID]
		if s != nil {
			n += s.waiting
			if s.full && s.waiting < e.opts.MaxWaiting*9/10 {
				s.full = false
			}
		}
		switch {
		case s != nil && s.full:
			continue
		case s != nil && n >= e.opts.MaxWaiting:
			s.full = true
			e.opts.Logger.Error("endpoints: dropped events, because too many wait", "endpoint", c.target.ID)
			c.Event = lostEvent(c.Event.Time, -1, "count")
			c.id = deliveryID(&c.Event)
		}
		added[c.target.ID]++
		kept = append(kept, c)
	}
	return kept
}
