package site

import (
	"context"
	"time"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/search"
)

// openSearch makes the index of the search. The registry tells it what has changed here, and the
// outbox what has changed on other replicas, so what was pushed is found within seconds.
func (h *Hub) openSearch(context.Context) (err error) {
	h.index, err = search.New(h.backend, &search.Options{Accounts: h.people, Content: h.store, Failed: h.report})
	if err != nil {
		return err
	}
	h.work = append(h.work, job{"the index of the search", h.index.Run}, job{"the events for the search", h.followEvents})
	return nil
}

// followPause is the time between two polls of the events of other replicas, and after an error.
const followPause = 5 * time.Second

// followEvents tells the index which repositories have changed. After an error, it begins anew: the index reads what it
// has missed in its turn.
//
// Errors: that of ctx.
func (h *Hub) followEvents(ctx context.Context) error {
	for {
		if err := h.followOnce(ctx); err != nil && ctx.Err() == nil {
			h.report(ctx, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(followPause):
		}
	}
}

// followOnce tells the index about events until ctx ends.
//
// Errors: those of the storage.
func (h *Hub) followOnce(ctx context.Context) error {
	cursor, err := h.box.End(ctx)
	if err != nil {
		return err
	}
	for e, err := range h.box.Since(ctx, cursor, &outbox.SinceOptions{Follow: true, Poll: followPause}) {
		if err != nil {
			return err
		}
		if err := h.index.Notify(ctx, []notification.Event{e.Event}); err != nil {
			return err
		}
	}
	return nil
}
