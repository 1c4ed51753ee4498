package object

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/storage/driver"
)

// maxMoved is the maximum length of Entry.Moved.
const maxMoved = 64

// Continues reports whether e has come from before by changes that are all in e.Moved, as far as
// the changes had conditions.
func (e *Entry) Continues(before *Entry) bool {
	if e.Descriptor.Digest == "" || before.Descriptor.Digest == "" || e.Born != before.Born {
		return false
	}
	n := len(before.Moved)
	return len(e.Moved) < maxMoved || n > 0 && slices.Contains(e.Moved, before.Moved[n-1])
}

// MovedBy reports whether a push has set the tag on a condition, as far as the record remembers.
func (e *Entry) MovedBy(push string) bool {
	return slices.Contains(e.Moved, push) || slices.ContainsFunc(e.Decided,
		func(l DecidedPush) bool { return l.Push == push })
}

// ClaimTime is how long conditional changes of a tag wait for a push that has moved its lead and
// not yet this tag. A push that takes longer has most probably died.
const ClaimTime = time.Minute

// MaxDecided is the maximum length of Entry.Decided. Further pushes that this tag would decide wait until
// others have finished.
const MaxDecided = 64

// Waits reports whether the push has a pending move on one of its other tags, or may have one on a
// tag that is not in seen.
func (l DecidedPush) Waits(seen map[string]*Entry) bool {
	return slices.ContainsFunc(l.Tags, func(tag string) bool {
		e := seen[tag]
		return e == nil || slices.ContainsFunc(e.Pending, func(n PendingMove) bool { return n.Push == l.Push })
	})
}

// DecidedSince returns since when other pushes have waited for the push of n: since the move of its
// lead, which is e, or since the time of n if that is later.
func (e *Entry) DecidedSince(n PendingMove) time.Time {
	for _, l := range e.Decided {
		if l.Push == n.Push && l.Time.After(n.Time) {
			return l.Time
		}
	}
	return n.Time
}

// ListedEntry is ReadEntry for an entry that a list has just returned as info. It does not read an
// entry again that is in the cache with the same version. The caller may change the annotations of
// the result.
func (s *Store) ListedEntry(ctx context.Context, info driver.Info) (*Entry, error) {
	if info.Version == "" {
		return s.WithoutCache().ReadEntry(ctx, info.Key)
	}
	if e := s.cachedEntry(info); e != nil {
		own := *e
		own.Descriptor.Annotations = maps.Clone(e.Descriptor.Annotations) // the caller may change them
		return &own, nil
	}
	e, err := s.WithoutCache().ReadEntry(ctx, info.Key) // it is cached here
	if err == nil && e.Version != "" {
		const overhead = 400 // memory of an entry without annotations and of its place in the cache, in bytes
		weight := overhead + len(info.Key)
		for k, v := range e.Descriptor.Annotations {
			weight += len(k) + len(v)
		}
		kept := *e
		kept.Descriptor.Annotations = maps.Clone(e.Descriptor.Annotations)
		s.entries.Add(info.Key, &kept, weight)
	}
	return e, err
}

// CachedDescriptor returns the descriptor of the entry that ListedEntry would return, or nil if the
// entry is not in the cache. The caller must not change the result or its annotations.
func (s *Store) CachedDescriptor(info driver.Info) *ocispec.Descriptor {
	if e := s.cachedEntry(info); e != nil {
		return &e.Descriptor
	}
	return nil
}

// cachedEntry returns the entry of the listed object, or nil if its version is not in the cache.
// Others share the entry, so the caller must not change it.
func (s *Store) cachedEntry(info driver.Info) *Entry {
	if e, ok := s.entries.Get(info.Key); ok && e.Version == info.Version {
		return e
	}
	return nil
}

// ReadEntry returns the entry at key. An entry that is absent or cut short has no digest.
func (s *Store) ReadEntry(ctx context.Context, key string) (*Entry, error) {
	return readRecord(ctx, s, key, decodeEntry)
}

// decodeEntry returns the entry of the record b. Keys are built from its digests, so decodeEntry
// drops whatever has an invalid digest.
func decodeEntry(b []byte, info driver.Info) *Entry {
	e := &Entry{}
	if _, ok := Decode(b, e); !ok || !isDigest(e.Descriptor.Digest) {
		e = &Entry{}
	}
	e.Pending = slices.DeleteFunc(e.Pending, func(n PendingMove) bool { return !isDigest(n.Descriptor.Digest) })
	e.Version, e.ModTime = info.Version, info.ModTime
	return e
}

// maxPending is the maximum number of pending moves of a tag. One more replaces the oldest, whose
// push may have died and otherwise starts again. A move that follows a lead is replaced only after
// ClaimTime, because other pushes may have to wait for it.
const maxPending = 64

// PointsTo reports whether a tag points at a manifest, or has a pending move to it.
func (e *Entry) PointsTo(d digest.Digest) bool {
	return e.Descriptor.Digest == d || e.isPending(d)
}

// isPending reports whether a tag has a pending move to a manifest.
func (e *Entry) isPending(d digest.Digest) bool {
	return slices.ContainsFunc(e.Pending, func(n PendingMove) bool { return n.Descriptor.Digest == d })
}

// PendingWithout returns the pending moves of a tag without those for which remove returns true.
func (e *Entry) PendingWithout(remove func(PendingMove) bool) []PendingMove {
	return slices.DeleteFunc(slices.Clone(e.Pending), remove)
}

// PendingWith returns the pending moves of a tag with n. ok is false if there are too many.
func (e *Entry) PendingWith(n PendingMove) (to []PendingMove, ok bool) {
	to = slices.Clone(e.Pending)
	if len(to) >= maxPending {
		i := slices.IndexFunc(to, func(o PendingMove) bool { return o.Lead == "" })
		if i < 0 {
			i = slices.IndexFunc(to, func(o PendingMove) bool { return time.Since(o.Time) >= ClaimTime })
		}
		if i < 0 {
			return nil, false
		}
		to = slices.Delete(to, i, i+1)
	}
	return append(to, n), true
}

// SetTime returns when a tag was set. For a record of an earlier version, that is the time of the
// record, which PutTag then keeps.
func (e *Entry) SetTime() time.Time {
	if e.Set.IsZero() {
		return e.ModTime
	}
	return e.Set
}

// SetAfter returns the set time of a tag, known as e, that a push sets at the time now. It is later
// than the set time of e although the clocks of two processes may differ: whoever has decided about
// the tag then notices the push, see registry.DeleteOptions.NotSetAfter.
func (e *Entry) SetAfter(now time.Time) time.Time {
	if before := e.SetTime(); e.Descriptor.Digest != "" && !now.After(before) {
		now = before.Add(1)
	}
	return now.UTC().Round(0)
}

// PutTag writes a tag that still has the version of e, and returns the new entry. It appends
// to.Moved to e.Moved. If to.Decided is nil, it keeps e.Decided; if to.Set is zero, the set time of
// e. The tag is not durable until Sync.
//
// Errors: driver.ErrExist or driver.ErrChanged if the tag has changed. Then the entry is the
// current one if the write has returned it, or nil.
func (r Repo) PutTag(ctx context.Context, tag string, e *Entry, to Entry) (*Entry, error) {
	to.Nonce = NewNonce()
	to.Moved = slices.Concat(e.Moved, to.Moved)
	to.Moved = to.Moved[max(0, len(to.Moved)-maxMoved):]
	if to.Decided == nil {
		to.Decided = e.Decided
	}
	if to.Set.IsZero() {
		to.Set = e.SetTime().UTC()
	}
	if to.Born = e.Born; e.Descriptor.Digest == "" {
		to.Born = NewNonce()
	}
	var err error
	to.Version, err = r.Put(ctx, r.TagKey(tag), e.Version, &to, nil, driver.Deferred)
	var o *Conflict
	switch {
	case err == nil:
		return &to, nil
	case errors.As(err, &o) && o.Info.Version != "":
		return decodeEntry(o.Content, o.Info), err
	}
	return nil, err
}

// AbortMoves removes the pending moves for which remove returns true from a tag that still has the
// version of e, and returns the new entry. A push whose move was aborted starts again.
//
// Errors: driver.ErrChanged if the tag has changed.
func (r Repo) AbortMoves(ctx context.Context, tag string, e *Entry, remove func(PendingMove) bool) (*Entry, error) {
	return r.PutTag(ctx, tag, e, Entry{Descriptor: e.Descriptor, Pending: e.PendingWithout(remove)})
}
