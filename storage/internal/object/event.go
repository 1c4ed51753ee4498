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

// The kinds of events. They are parts of keys.
const (
	EventTag        = "t"
	EventUntag      = "u"
	EventDelete     = "m"
	EventRepository = "r"
)

// Changes maps the kinds of events to the changes that the registry reports.
var Changes = map[string]registry.Change{
	EventTag: registry.ChangeTag, EventUntag: registry.ChangeUntag,
	EventDelete: registry.ChangeDelete, EventRepository: registry.ChangeDeleteRepository,
}

// Event is the record of a change to a repository. The history has one object per event.
//
// An event is written before its change and confirmed after it. So the history knows of every
// change, whenever a process dies or power is lost. An event that is not confirmed may not have
// happened, and the history reports it as such. An event that certainly did not happen, because
// another writer came first, is removed.
//
// The event of a deleted manifest holds the manifest. A delete of a repository hides its links
// instead of removing them, so that blobs are not served but can be restored.
//
// Collections take what an event can restore for a root. A collection reads the manifests first and
// the history after them: a delete writes the event before it removes the manifest, so a collection
// that misses the manifest finds the event. A restore is a push. So it is refused if the content
// was collected before, and what it finds stays.
type Event struct {
	Nonce  string              `json:"nonce"`
	Time   time.Time           `json:"time"`
	By     string              `json:"by,omitempty"`
	Before *ocispec.Descriptor `json:"before,omitempty"`
	After  *ocispec.Descriptor `json:"after,omitempty"`
	Tags   []string            `json:"tags,omitempty"`
	// Set is when the tag of an EventUntag had been set, see Entry.Set.
	Set time.Time `json:"set,omitzero"`
	// Sets are the same for the Tags of an EventDelete, in their order.
	Sets []time.Time `json:"sets,omitempty"`
	// Group is the ID of the event of the delete of the repository that this event is a part of or
	// continues.
	Group string `json:"group,omitempty"`
	// Delete names the delete of a manifest. All processes that continue the same delete use the
	// same name. Each of them may have removed some of the tags.
	Delete string `json:"delete,omitempty"`
	// Sparse is Manifest.Sparse of a deleted manifest.
	Sparse    bool   `json:"sparse,omitempty"`
	Confirmed bool   `json:"confirmed,omitempty"`
	Sum       uint32 `json:"sum"` // checksum of Content

	Kind    string `json:"-"` // EventTag, EventUntag, EventDelete or EventRepository
	Subject string `json:"-"` // the tag, or the digest with "-" for ":"
	ID      string `json:"-"` // last component of the key, see eventID
	Content []byte `json:"-"` // the deleted manifest
	Version string `json:"-"`
}

// eventID returns the last component of the key of an event: the inverted time, so that the newest
// event comes first in a list, the kind, random characters, and the tag or digest if the event has
// one.
func eventID(t time.Time, kind, subject string) string {
	var random [8]byte
	rand.Read(random[:])
	id := InvertTime(t) + "." + kind + "." + hex.EncodeToString(random[:])
	if subject != "" {
		id += "." + subject
	}
	return id
}

// InvertTime returns a time as keys of events have it: 16 hexadecimal digits that are smaller the
// later t is.
func InvertTime(t time.Time) string { return fmt.Sprintf("%016x", uint64(math.MaxInt64-t.UnixNano())) }

// ParseEvent returns an event with what its ID says: ID, Kind, Time and Subject. It returns nil if
// id is not the ID of an event.
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

// Digest returns the digest of the manifest of an EventDelete.
func (e *Event) Digest() digest.Digest {
	return digest.Digest(strings.Replace(e.Subject, "-", ":", 1))
}

// SetTime returns when a tag had been set that the change has removed. It is zero if the event does
// not know: an event of an earlier version has no times.
func (e *Event) SetTime(tag string) time.Time {
	if e.Kind == EventUntag {
		return e.Set
	}
	if i := slices.Index(e.Tags, tag); i >= 0 && i < len(e.Sets) {
		return e.Sets[i]
	}
	return time.Time{}
}

// DigestSubject returns the subject of an event about the manifest d.
func DigestSubject(d digest.Digest) string { return strings.Replace(string(d), ":", "-", 1) }

// OpenEvent is an event that is written but not yet confirmed. A nil *OpenEvent stands for an event
// of a Store without history; its methods do nothing.
type OpenEvent struct {
	repo  Repo
	event *Event
}

// BeginEvent writes an event of a kind durably. The caller makes the change afterwards, and then
// calls End. BeginEvent sets the time, the nonce and the ID of e. If the Store keeps no history, it
// returns nil.
//
// Errors: registry.ErrUnavailable, registry.ErrNoSpace, or any other error of the driver. The
// change must not be made then.
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

// ResumeEvent returns the event with an ID, for a process that finishes the delete of a repository
// in place of the one that began it. If that event does not exist, ResumeEvent begins e as the
// event of the delete.
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

// ID returns the ID of the event, or "" if b is nil.
func (b *OpenEvent) ID() string {
	if b == nil {
		return ""
	}
	return b.event.ID
}

// Join marks the event of a delete of a repository as a continuation of the event with the ID
// group. It changes the record only when End writes it.
func (b *OpenEvent) Join(group string) {
	if b != nil && group != b.event.ID {
		b.event.Group = group
	}
}

// Outcome is whether the change of an event has happened.
type Outcome int

const (
	// DidNotHappen is the outcome of a change that certainly has not happened.
	DidNotHappen Outcome = iota
	// Happened is the outcome of a change that has happened.
	Happened
)

// OutcomeIf returns Happened if happened is true, and DidNotHappen otherwise.
func OutcomeIf(happened bool) Outcome {
	if happened {
		return Happened
	}
	return DidNotHappen
}

// End confirms the event if its change has happened, and removes it otherwise. If that fails, the
// event stays unconfirmed.
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

// DiscardUnlessGone removes the event of a removal of the object at key that another writer
// forestalled. If the object is gone, this removal may be what removed it, and its response was
// lost. Then the event stays, unconfirmed.
func (b *OpenEvent) DiscardUnlessGone(ctx context.Context, key string) {
	if b == nil {
		return
	}
	if _, err := b.repo.Driver.Stat(ctx, key); err == nil {
		b.End(ctx, DidNotHappen)
	}
}

// eventsAtOnce is the maximum number of events that are read at the same time.
const eventsAtOnce = Parallelism

// Events yields the events of the repository, the newest first, as far back as the history is kept.
// Each event has only what its ID says, see ParseEvent. opts may be nil.
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
			if e.ID[:len(oldest)] > oldest || opts != nil && opts.Scan != nil && !opts.Scan(e.ID) || !yield(e, nil) {
				return
			}
		}
	}
}

// ReadEvent reads the rest of e, which ParseEvent has returned. ok is false if the event is gone or
// cut short.
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

// readEventHeader reads the rest of an event without the manifest that it holds, which may be
// megabytes. ok is false if the event is gone or cut short. The size of the object shows whether
// the manifest is whole, because a loss of power only cuts objects short.
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

// ReadEvents reads the events that list yields, and yields them without the content of manifests.
// It skips events that are gone or cut short.
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

// SomeEvents yields the events of the kinds in opts, as ReadEvents does.
func (r Repo) SomeEvents(ctx context.Context, opts *registry.HistoryOptions) iter.Seq2[*Event, error] {
	return r.ReadEvents(ctx, Filter(r.Events(ctx, opts), func(e *Event) bool { return ofKind(e, opts) }))
}

// ofKind reports whether opts select the kind of an event. opts may be nil.
func ofKind(e *Event, opts *registry.HistoryOptions) bool {
	return opts == nil || len(opts.Changes) == 0 || slices.Contains(opts.Changes, Changes[e.Kind])
}

// TagEvents yields the events that touched a tag, as ReadEvents does.
func (r Repo) TagEvents(ctx context.Context, tag string, opts *registry.HistoryOptions) iter.Seq2[*Event, error] {
	candidates := Filter(r.Events(ctx, opts), func(e *Event) bool {
		return ofKind(e, opts) &&
			(e.Subject == tag && (e.Kind == EventTag || e.Kind == EventUntag) || e.Kind == EventDelete)
	})
	return Filter(r.ReadEvents(ctx, candidates), func(e *Event) bool {
		return e.Kind != EventDelete || slices.Contains(e.Tags, tag)
	})
}
