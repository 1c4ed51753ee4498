package storage

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

// The kinds of events, as keys name them.
const (
	eventTag        = "t"
	eventUntag      = "u"
	eventDelete     = "m"
	eventRepository = "r"
)

var changes = map[string]registry.Change{
	eventTag: registry.ChangeTag, eventUntag: registry.ChangeUntag,
	eventDelete: registry.ChangeDelete, eventRepository: registry.ChangeDeleteRepository,
}

// event is the record of something done to a repository.
type event struct {
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

	kind    string
	subject string // the tag, or the digest with "-" for ":"
	id      string // last component of the key; see eventID
	content []byte // of a deleted manifest
	version string
}

// eventID is the last component of the key of an event: the time, so inverted that the newest comes
// first, the kind, something random, and the tag or digest if it has one.
func eventID(t time.Time, kind, subject string) string {
	var random [8]byte
	rand.Read(random[:])
	id := inverted(t) + "." + kind + "." + hex.EncodeToString(random[:])
	if subject != "" {
		id += "." + subject
	}
	return id
}

// inverted is a time as keys have it.
func inverted(t time.Time) string { return fmt.Sprintf("%016x", uint64(math.MaxInt64-t.UnixNano())) }

// parseEvent reads what the id of an event tells; nil if it is none.
func parseEvent(id string) *event {
	parts := strings.SplitN(id, ".", 4)
	if len(parts) < 3 || len(parts[0]) != 16 || changes[parts[1]] == "" {
		return nil
	}
	n, err := strconv.ParseUint(parts[0], 16, 63)
	if err != nil {
		return nil
	}
	e := &event{id: id, kind: parts[1], Time: time.Unix(0, math.MaxInt64-int64(n))}
	if len(parts) == 4 {
		e.subject = parts[3]
	}
	return e
}

// digest is the digest of the manifest of an eventDelete.
func (e *event) digest() digest.Digest {
	return digest.Digest(strings.Replace(e.subject, "-", ":", 1))
}

func digestSubject(d digest.Digest) string { return strings.Replace(string(d), ":", "-", 1) }

// begun is an event that is written and not yet confirmed; nil if no history is kept.
type begun struct {
	s    *Store
	repo string
	e    *event
}

// begin writes an event of a kind, before it happens.
func (s *Store) begin(ctx context.Context, repo, kind, subject string, e event) (*begun, error) {
	if s.opts.History == 0 {
		return nil, nil
	}
	now := time.Now()
	e.Time, e.Nonce, e.Sum, e.id = now.UTC(), nonce(), checksum(e.content), eventID(now, kind, subject)
	var err error
	e.version, err = s.put(ctx, eventKey(repo, e.id), "", &e, e.content, driver.Durable)
	return &begun{s: s, repo: repo, e: &e}, wire(err)
}

// beginAgain returns the event of an id, of something that is finished in the place of who began
// it, or begins the event of a repository's delete if there is none.
func (s *Store) beginAgain(ctx context.Context, repo, id string, e event) (*begun, error) {
	if there := parseEvent(id); there != nil && s.opts.History > 0 {
		ok, err := s.readEvent(ctx, repo, there)
		if err != nil {
			return nil, err
		}
		if ok {
			return &begun{s: s, repo: repo, e: there}, nil
		}
	}
	return s.begin(ctx, repo, eventRepository, "", e)
}

// id is the id of the event, "" of none.
func (b *begun) id() string {
	if b == nil {
		return ""
	}
	return b.e.id
}

// join makes the event, that of a repository's delete, one that goes on with another.
func (b *begun) join(group string) {
	if b != nil && group != b.e.id {
		b.e.Group = group
	}
}

// end confirms the event if it has happened, and removes it otherwise. A failure leaves it
// unconfirmed.
func (b *begun) end(ctx context.Context, happened bool) {
	if b == nil {
		return
	}
	key := eventKey(b.repo, b.e.id)
	if !happened {
		_ = b.s.driver.Delete(ctx, key, b.e.version)
		return
	}
	b.e.Nonce, b.e.Confirmed = nonce(), true
	_, _ = b.s.put(ctx, key, b.e.version, b.e, b.e.content, driver.Deferred)
}

// overtaken removes the event, of the removal of an object which somebody else was first to change.
// If the object is not there, it may be this one that has removed it, and its answer was lost: then
// the event stays, unconfirmed.
func (b *begun) overtaken(ctx context.Context, key string) {
	if b == nil {
		return
	}
	if _, err := b.s.driver.Stat(ctx, key); err == nil {
		b.end(ctx, false)
	}
}

// eventsAtOnce is how many events are read at once.
const eventsAtOnce = parallelism

// events yields what the ids of the events of a repository tell, the newest first, as far back as
// history is kept.
func (s *Store) events(ctx context.Context, repo string, opts *registry.HistoryOptions) iter.Seq2[*event, error] {
	return func(yield func(*event, error) bool) {
		prefix := eventPrefix(repo)
		list := &driver.ListOptions{KeysOnly: true}
		if opts != nil {
			list.PageHint = opts.PageHint
			if opts.After != "" {
				list.After = prefix + opts.After
			}
		}
		oldest := inverted(time.Now().Add(-s.opts.History))
		for info, err := range s.driver.List(ctx, prefix, list) {
			if err != nil {
				yield(nil, wire(err))
				return
			}
			e := parseEvent(info.Key[len(prefix):])
			if e == nil {
				continue
			}
			if e.id[:len(oldest)] > oldest || !yield(e, nil) {
				return
			}
		}
	}
}

// readEvent reads the rest of an event; ok is false if it is gone or cut short.
func (s *Store) readEvent(ctx context.Context, repo string, e *event) (ok bool, err error) {
	b, info, err := s.read(ctx, eventKey(repo, e.id))
	if errors.Is(err, driver.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, wire(err)
	}
	e.content, ok = decode(b, e)
	e.version = info.Version
	return ok && checksum(e.content) == e.Sum && (e.Before == nil || isDigest(e.Before.Digest)), nil
}

// readEventHeader reads the rest of an event but for the manifest that it holds, which may have
// megabytes; ok is false if it is gone or cut short. The size of the object shows whether the
// manifest is whole, as a loss of power only cuts short.
func (s *Store) readEventHeader(ctx context.Context, repo string, e *event) (ok bool, err error) {
	line, info, err := s.readLine(ctx, eventKey(repo, e.id))
	if errors.Is(err, driver.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, wire(err)
	}
	if _, ok = decode(line, e); !ok {
		return false, nil
	}
	e.version = info.Version
	size := int64(len(line))
	if e.kind == eventDelete && e.Before != nil {
		size += e.Before.Size
	}
	return info.Size == size && (e.Before == nil || isDigest(e.Before.Digest)), nil
}

// readEvents yields the events with all they hold, but for the content of manifests.
func (s *Store) readEvents(ctx context.Context, repo string, list iter.Seq2[*event, error]) iter.Seq2[*event, error] {
	return func(yield func(*event, error) bool) {
		var batch []*event
		flush := func() bool {
			ok := make([]bool, len(batch))
			err := parallel.Each(parallelism, len(batch), func(i int) (err error) {
				ok[i], err = s.readEventHeader(ctx, repo, batch[i])
				return err
			})
			if err != nil {
				yield(nil, err)
				return false
			}
			for i, e := range batch {
				if ok[i] && !yield(e, nil) {
					return false
				}
			}
			batch = batch[:0]
			return true
		}
		for e, err := range list {
			if err != nil {
				yield(nil, err)
				return
			}
			if batch = append(batch, e); len(batch) == eventsAtOnce && !flush() {
				return
			}
		}
		flush()
	}
}

// filterEvents leaves out the events that keep says no to.
func filterEvents(list iter.Seq2[*event, error], keep func(e *event) bool) iter.Seq2[*event, error] {
	return func(yield func(*event, error) bool) {
		for e, err := range list {
			if err != nil {
				yield(nil, err)
				return
			}
			if keep(e) && !yield(e, nil) {
				return
			}
		}
	}
}

// tagEvents yields the events that touched a tag, as readEvents does.
func (s *Store) tagEvents(ctx context.Context, repo, tag string, opts *registry.HistoryOptions) iter.Seq2[*event,
	error] {
	perhaps := filterEvents(s.events(ctx, repo, opts), func(e *event) bool {
		return e.subject == tag && (e.kind == eventTag || e.kind == eventUntag) || e.kind == eventDelete
	})
	return filterEvents(s.readEvents(ctx, repo, perhaps), func(e *event) bool {
		return e.kind != eventDelete || slices.Contains(e.Tags, tag)
	})
}

// errNoHistory is that Options.History is 0.
var errNoHistory = registry.ErrUnsupported.WithMessage("no history is kept")

// History implements [registry.Restorer]. A page costs what it shows, but for one of a single tag,
// for which the names of all events are listed, and those of deleted manifests read.
func (s *Store) History(ctx context.Context, repo string,
	opts *registry.HistoryOptions) iter.Seq2[registry.HistoryEntry, error] {
	return func(yield func(registry.HistoryEntry, error) bool) {
		if err := s.checkHistory(repo, opts); err != nil {
			yield(registry.HistoryEntry{}, err)
			return
		}
		var list iter.Seq2[*event, error]
		if opts != nil && opts.Tag != "" {
			list = s.tagEvents(ctx, repo, opts.Tag, opts)
		} else {
			list = s.readEvents(ctx, repo, s.events(ctx, repo, opts))
		}
		for e, err := range list {
			if err != nil {
				yield(registry.HistoryEntry{}, err)
				return
			}
			if !yield(e.entry(), nil) {
				return
			}
		}
	}
}

func (s *Store) checkHistory(repo string, opts *registry.HistoryOptions) error {
	if err := registry.CheckName(repo); err != nil {
		return err
	}
	if opts != nil && opts.Tag != "" {
		if err := registry.CheckTag(opts.Tag); err != nil {
			return err
		}
	}
	if s.opts.History == 0 {
		return errNoHistory
	}
	return nil
}

func (e *event) entry() registry.HistoryEntry {
	h := registry.HistoryEntry{
		ID: e.id, Time: e.Time, Change: changes[e.kind], By: e.By, Tags: e.Tags, Before: e.Before, After: e.After,
		Unconfirmed: !e.Confirmed,
	}
	if e.kind == eventTag || e.kind == eventUntag {
		h.Tag = e.subject
	}
	return h
}

// ExpireHistory removes the events that are older than Options.History, or all if that is 0, and
// returns how many it removed. It may run beside anything, on any number of replicas; a host calls
// it now and then, once a day, say. The content that they held on to is free for collection
// afterwards.
func (s *Store) ExpireHistory(ctx context.Context) (int, error) {
	removed := 0
	oldest := inverted(time.Now().Add(-s.opts.History))
	for info, err := range s.driver.List(ctx, history, &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return removed, wire(err)
		}
		e := parseEvent(base(info.Key))
		if e == nil || s.opts.History > 0 && e.id[:len(oldest)] <= oldest {
			continue
		}
		if err := s.remove(ctx, info.Key, ""); err != nil {
			return removed, wire(err)
		}
		removed++
	}
	return removed, nil
}
