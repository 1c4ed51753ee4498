package storage

import (
	"context"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage/internal/object"
)

// The event of a tag is written before the tag. These are the limits of the search for it.
const (
	setEarlier = time.Minute     // how much earlier the event can be
	setLater   = 2 * time.Second // how much later, if the clock was set back in between
	setEvents  = 1000            // how many events are listed
)

// SetBy returns the name of the identity that has set a tag to the manifest that it points at, or "" if
// the history does not know. An anonymous identity has the name "", too. It makes one request to list
// the events of that time, and one for each of them that is about the tag.
//
// Errors: registry.ErrNameInvalid; any error of the driver.
func (v Inventory) SetBy(ctx context.Context, repo string, t StoredTag) (string, error) {
	if err := registry.CheckName(repo); err != nil {
		return "", err
	}
	if v.store.opts.History == 0 || t.Set.IsZero() {
		return "", nil
	}
	r := v.store.repo(repo)
	opts := &registry.HistoryOptions{After: object.InvertTime(t.Set.Add(setLater)), PageHint: setEvents}
	examined := 0
	for e, err := range r.Events(ctx, opts) {
		if err != nil {
			return "", err
		}
		if examined++; examined > setEvents || e.Time.Before(t.Set.Add(-setEarlier)) {
			return "", nil
		}
		if e.Kind != object.EventTag || e.Subject != t.Name {
			continue
		}
		ok, err := r.ReadEvent(ctx, e)
		if err != nil {
			return "", err
		}
		if ok && e.After != nil && e.After.Digest == t.Descriptor.Digest {
			return e.By, nil
		}
	}
	return "", nil
}
