package outbox

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/notification"
)

// name identifies a tag, or a manifest if Tag is "".
type name struct {
	repository, tag string
	digest          digest.Digest // of a manifest; "" for a tag
}

// word is what the last event says about a name.
type word struct {
	exists bool
	target digest.Digest
	time   time.Time
	id     string
}

// fold is what the log says about the registry: the last event of each tag and manifest.
type fold struct {
	words   map[name]word
	removed map[string]time.Time // when a repository was deleted
	events  int64
	start   time.Time // from when on the log is complete
}

// add folds an event.
func (f *fold) add(e notification.Event) {
	f.events++
	if f.start.IsZero() || e.Time.Before(f.start) && e.Action != notification.Missing {
		f.start = e.Time
	}
	w := word{time: e.Time, id: e.ID, exists: e.Action != notification.Delete}
	if e.Target != nil {
		w.target = e.Target.Digest
	}
	switch {
	case e.Kind == notification.Blob, e.Action == notification.Pull, e.Action == notification.Missing:
		return
	case e.Action == notification.Delete && e.Kind == notification.Repository:
		if e.Time.After(f.removed[e.Repository]) {
			f.removed[e.Repository] = e.Time
		}
		return
	case w.target == "" && e.Kind == notification.Manifest:
		return
	}
	if e.Kind == notification.Manifest {
		f.set(name{e.Repository, "", w.target}, w)
	}
	for _, tag := range e.Tags {
		f.set(name{e.Repository, tag, ""}, w)
	}
}

// set keeps the later of two events.
func (f *fold) set(n name, w word) {
	old, known := f.words[n]
	if !known || w.time.After(old.time) || w.time.Equal(old.time) && w.id >= old.id {
		f.words[n] = w
	}
}

// last returns what the log says about a name.
func (f *fold) last(n name) (word, bool) {
	w, known := f.words[n]
	if gone := f.removed[n.repository]; known && w.exists && !gone.Before(w.time) {
		w.exists, w.time = false, gone
	}
	return w, known
}

// read folds the events after cursor, and returns the cursor behind them.
func (f *fold) read(ctx context.Context, o *Outbox, cursor string) (string, error) {
	r, err := o.newReader(cursor)
	if err != nil {
		return cursor, err
	}
	err = r.run(ctx, SinceOptions{}, func(e Entry, _ error) bool {
		f.add(e.Event)
		cursor = e.Cursor
		return true
	})
	if r.trimmed.After(f.start) {
		f.start = r.trimmed
	}
	return cursor, err
}
