package object

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
)

// The kinds of events, as keys name them.
const (
	EventTag        = "t"
	EventUntag      = "u"
	EventDelete     = "m"
	EventRepository = "r"
)

var Changes = map[string]registry.Change{
	EventTag: registry.ChangeTag, EventUntag: registry.ChangeUntag,
	EventDelete: registry.ChangeDelete, EventRepository: registry.ChangeDeleteRepository,
}

// event is the record of something done to a repository.
type Event struct {
	Nonce  string              `json:"nonce"`
	Time   time.Time           `json:"time"`
	By     string              `json:"by,omitempty"`
	Before *ocispec.Descriptor `json:"before,omitempty"`
	After  *ocispec.Descriptor `json:"after,omitempty"`
	Tags   []string            `json:"tags,omitempty"`
	// id of the delete of the repository that this one is a part of, or goes on with
	Group string `json:"group,omitempty"`
	// of a manifest: the same for all that have gone on with it, each of whom may have removed some
	// of the tags
	Delete    string `json:"delete,omitempty"`
	Confirmed bool   `json:"confirmed,omitempty"`
	Sum       uint32 `json:"sum"`

	Kind    string `json:"-"`
	Subject string `json:"-"` // the tag, or the digest with "-" for ":"
	ID      string `json:"-"` // last component of the key; see eventID
	Content []byte `json:"-"` // of a deleted manifest
	Version string `json:"-"`
}

// eventID is the last component of the key of an event: the time, so inverted that the newest comes
// first, the kind, something random, and the tag or digest if it has one.
func eventID(t time.Time, kind, subject string) string {
	var random [8]byte
	rand.Read(random[:])
	id := InvertTime(t) + "." + kind + "." + hex.EncodeToString(random[:])
	if subject != "" {
		id += "." + subject
	}
	return id
}

// inverted is a time as keys have it.
func InvertTime(t time.Time) string { return fmt.Sprintf("%016x", uint64(math.MaxInt64-t.UnixNano())) }

// parseEvent reads what the id of an event tells; nil if it is none.
func ParseEvent(id string) *Event {
	parts := strings.SplitN(id, ".", 4)
	if len(parts) < 3 || len(parts[0]) != 16 || Changes[parts[1]] == "" {
		return nil
	}
	n, err := strconv.ParseUint(parts[0], 16, 63)
	if err != nil {
		return nil
	}
	e := &Event{ID: id, Kind: parts[1], Time: time.Unix(0, math.MaxInt64-int64(n))}
	if len(parts) == 4 {
		e.Subject = parts[3]
	}
	return e
}

// digest is the digest of the manifest of an eventDelete.
func (e *Event) Digest() digest.Digest {
	return digest.Digest(strings.Replace(e.Subject, "-", ":", 1))
}

func DigestSubject(d digest.Digest) string { return strings.Replace(string(d), ":", "-", 1) }

// begun is an event that is written and not yet confirmed; nil if no history is kept.
type OpenEvent struct {
	repo  Repo
	event *Event
}

// begin writes an event of a kind, before it happens.
func (r Repo) BeginEvent(ctx context.Context, kind, subject string, e Event) (*OpenEvent, error) {
	if r.History == 0 {
		return nil, nil
	}
	now := time.Now()
	e.Time, e.Nonce, e.Sum, e.ID = now.UTC(), NewNonce(), Checksum(e.Content), eventID(now, kind, subject)
	var err error
	e.Version, err = r.Put(ctx, r.EventKey(e.ID), "", &e, e.Content, driver.Durable)
	return &OpenEvent{repo: r, event: &e}, RegistryError(err)
}

// beginAgain returns the event of an id, of something that is finished in the place of who began
// it, or begins the event of a repository's delete if there is none.
func (r Repo) ResumeEvent(ctx context.Context, id string, e Event) (*OpenEvent, error) {
	if there := ParseEvent(id); there != nil && r.History > 0 {
		ok, err := r.ReadEvent(ctx, there)
		if err != nil {
			return nil, err
		}
		if ok {
			return &OpenEvent{repo: r, event: there}, nil
		}
	}
	return r.BeginEvent(ctx, EventRepository, "", e)
}

// id is the id of the event, "" of none.
func (b *OpenEvent) ID() string {
	if b == nil {
		return ""
	}
	return b.event.ID
}

// join makes the event, that of a repository's delete, one that goes on with another.
func (b *OpenEvent) Join(group string) {
	if b != nil && group != b.event.ID {
		b.event.Group = group
	}
}

// Outcome says whether what an event is about has happened.
type Outcome int

const (
	DidNotHappen Outcome = iota
	Happened
)

// OutcomeIf returns Happened if happened is true, and DidNotHappen otherwise.
func OutcomeIf(happened bool) Outcome {
	if happened {
		return Happened
	}
	return DidNotHappen
}

// End confirms the event if it has happened, and removes it otherwise. If that fails, the event stays
// unconfirmed. A nil OpenEvent does nothing.
func (b *OpenEvent) End(ctx context.Context, outcome Outcome) {
	if b == nil {
		return
	}
	key := b.repo.EventKey(b.event.ID)
	if outcome == DidNotHappen {
		_ = b.repo.Driver.Delete(ctx, key, b.event.Version)
		return
	}
	b.event.Nonce, b.event.Confirmed = NewNonce(), true
	_, _ = b.repo.Put(ctx, key, b.event.Version, b.event, b.event.Content, driver.Deferred)
}

// overtaken removes the event, of the removal of an object which somebody else was first to change.
// If the object is not there, it may be this one that has removed it, and its answer was lost: then
// the event stays, unconfirmed.
func (b *OpenEvent) DiscardUnlessGone(ctx context.Context, key string) {
	if b == nil {
		return
	}
	if _, err := b.repo.Driver.Stat(ctx, key); err == nil {
		b.End(ctx, DidNotHappen)
	}
}

// eventsAtOnce is how many events are read at once.
const eventsAtOnce = Parallelism

// events yields what the ids of the events of a repository tell, the newest first, as far back as
// history is kept.
func (r Repo) Events(ctx context.Context, opts *registry.HistoryOptions) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		prefix := r.eventPrefix()
		list := &driver.ListOptions{KeysOnly: true}
		if opts != nil {
			list.PageHint = opts.PageHint
			if opts.After != "" {
				list.After = prefix + opts.After
			}
		}
		oldest := InvertTime(time.Now().Add(-r.History))
		for info, err := range r.Driver.List(ctx, prefix, list) {
			if err != nil {
				yield(nil, RegistryError(err))
				return
			}
			e := ParseEvent(info.Key[len(prefix):])
			if e == nil {
				continue
			}
			if e.ID[:len(oldest)] > oldest || !yield(e, nil) {
				return
			}
		}
	}
}

// readEvent reads the rest of an event; ok is false if it is gone or cut short.
func (r Repo) ReadEvent(ctx context.Context, e *Event) (ok bool, err error) {
	b, info, err := r.Read(ctx, r.EventKey(e.ID))
	if errors.Is(err, driver.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, RegistryError(err)
	}
	e.Content, ok = Decode(b, e)
	e.Version = info.Version
	return ok && Checksum(e.Content) == e.Sum && (e.Before == nil || isDigest(e.Before.Digest)), nil
}

// readEventHeader reads the rest of an event but for the manifest that it holds, which may have
// megabytes; ok is false if it is gone or cut short. The size of the object shows whether the
// manifest is whole, as a loss of power only cuts short.
func (r Repo) readEventHeader(ctx context.Context, e *Event) (ok bool, err error) {
	line, info, err := r.readLine(ctx, r.EventKey(e.ID))
	if errors.Is(err, driver.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, RegistryError(err)
	}
	if _, ok = Decode(line, e); !ok {
		return false, nil
	}
	e.Version = info.Version
	size := int64(len(line))
	if e.Kind == EventDelete && e.Before != nil {
		size += e.Before.Size
	}
	return info.Size == size && (e.Before == nil || isDigest(e.Before.Digest)), nil
}

// ReadEvents yields the events with all they hold, but for the content of manifests.
func (r Repo) ReadEvents(ctx context.Context, list iter.Seq2[*Event, error]) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		for batch, err := range Batches(list, eventsAtOnce) {
			ok := make([]bool, len(batch))
			if err == nil {
				err = parallel.Each(Parallelism, len(batch), func(i int) (err error) {
					ok[i], err = r.readEventHeader(ctx, batch[i])
					return err
				})
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for i, e := range batch {
				if ok[i] && !yield(e, nil) {
					return
				}
			}
		}
	}
}

// tagEvents yields the events that touched a tag, as readEvents does.
func (r Repo) TagEvents(ctx context.Context, tag string, opts *registry.HistoryOptions) iter.Seq2[*Event,
	error] {
	candidates := Filter(r.Events(ctx, opts), func(e *Event) bool {
		return e.Subject == tag && (e.Kind == EventTag || e.Kind == EventUntag) || e.Kind == EventDelete
	})
	return Filter(r.ReadEvents(ctx, candidates), func(e *Event) bool {
		return e.Kind != EventDelete || slices.Contains(e.Tags, tag)
	})
}

// History is one object per event, written before what it tells of is done, and confirmed after. So
// nothing is done that the history does not know of, whenever a process dies or power is lost; an
// event that is not confirmed may not have happened, and says so. One that certainly did not
// happen, because somebody else was first, is removed. The event of a deleted manifest holds the
// manifest. When a repository is deleted, its links are hidden instead of removed, so that blobs
// are not served and yet can be had back.
//
// A collector takes what an event can bring back for a root. It looks at the manifests first and at
// the history after: a delete writes the event before it removes the manifest, so whoever misses
// the one finds the other. A restore is a push, so that what was collected before is refused, and
// what it finds stays.
