package object

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/storage/driver"
)

// maxMoved bounds entry.Moved.
const maxMoved = 64

// continues reports whether e comes from before by changes that are all in e.Moved, as far as they
// had conditions.
func (e *Entry) Continues(before *Entry) bool {
	if e.Descriptor.Digest == "" || before.Descriptor.Digest == "" || e.Born != before.Born {
		return false
	}
	n := len(before.Moved)
	return len(e.Moved) < maxMoved || n > 0 && slices.Contains(e.Moved, before.Moved[n-1])
}

// movedBy reports whether a push has set the tag on a condition, as far as the tag can tell.
func (e *Entry) MovedBy(push string) bool {
	return slices.Contains(e.Moved, push) || slices.ContainsFunc(e.Led, func(l LedPush) bool { return l.Push == push })
}

// claimTime is for how long conditional changes of a tag wait for a push that has completed its
// lead and not this tag. A push that takes longer has most probably died.
const ClaimTime = time.Minute

// maxLed bounds entry.Led. Leads of further pushes wait for those to end.
const MaxLed = 64

// waits reports whether the push has a pending move, or may have one on a tag that was not seen.
func (l LedPush) Waits(seen map[string]*Entry) bool {
	return slices.ContainsFunc(l.Tags, func(tag string) bool {
		e := seen[tag]
		return e == nil || slices.ContainsFunc(e.Pending, func(n PendingMove) bool { return n.Push == l.Push })
	})
}

// ledSince returns since when others wait for a push that this tag has decided.
func (e *Entry) LedSince(n PendingMove) time.Time {
	for _, l := range e.Led {
		if l.Push == n.Push && l.Time.After(n.Time) {
			return l.Time
		}
	}
	return n.Time
}

// listedEntry is readEntry for an entry that a list has just shown. One that this process has read
// is not read again, if the list tells that its version is the same.
func (s *Store) ListedEntry(ctx context.Context, info driver.Info) (*Entry, error) {
	if info.Version == "" {
		return s.ReadEntry(ctx, info.Key)
	}
	if e, ok := s.entries.Get(info.Key); ok && e.Version == info.Version {
		own := *e
		own.Descriptor.Annotations = maps.Clone(e.Descriptor.Annotations) // the caller's to change
		return &own, nil
	}
	e, err := s.ReadEntry(ctx, info.Key)
	if err == nil && e.Version != "" {
		const overhead = 400 // of an entry without annotations and its place in a map, in bytes
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

// readEntry returns an entry; one that is absent or cut short has no digest.
func (s *Store) ReadEntry(ctx context.Context, key string) (*Entry, error) {
	b, info, err := s.Read(ctx, key)
	if errors.Is(err, driver.ErrNotExist) {
		return &Entry{}, nil
	}
	if err != nil {
		return nil, RegistryError(err)
	}
	return decodeEntry(b, info), nil
}

// decodeEntry returns an entry as the object b tells it. Only digests make keys, so nothing else is
// taken from it for one.
func decodeEntry(b []byte, info driver.Info) *Entry {
	e := &Entry{}
	if _, ok := Decode(b, e); !ok || !isDigest(e.Descriptor.Digest) {
		e = &Entry{}
	}
	e.Pending = slices.DeleteFunc(e.Pending, func(n PendingMove) bool { return !isDigest(n.Descriptor.Digest) })
	e.Version, e.ModTime = info.Version, info.ModTime
	return e
}

// maxNext bounds how many pushes may be about to move a tag. The oldest, which may have died, gives
// way and begins again, unless it follows a lead: others may have to wait for it.
const maxPending = 64

// leads reports whether a tag points at a manifest, or is about to.
func (e *Entry) LeadsTo(d digest.Digest) bool {
	return e.Descriptor.Digest == d || e.isPending(d)
}

func (e *Entry) isPending(d digest.Digest) bool {
	return slices.ContainsFunc(e.Pending, func(n PendingMove) bool { return n.Descriptor.Digest == d })
}

// without is Next but for what remove says yes to.
func (e *Entry) PendingWithout(remove func(PendingMove) bool) []PendingMove {
	return slices.DeleteFunc(slices.Clone(e.Pending), remove)
}

// with is Next with one more; ok is false if there are too many for it.
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

// putTag writes a tag on the condition that it is as e says, and returns it as it is then. to.Moved
// is added to what e says. If to.Led is nil, that of e stays.
//
// Errors: ErrExist or ErrChanged if it is not; then what it is, if the write has found out, or nil.
func (r Repo) PutTag(ctx context.Context, tag string, e *Entry, to Entry) (*Entry, error) {
	to.Nonce = NewNonce()
	to.Moved = slices.Concat(e.Moved, to.Moved)
	to.Moved = to.Moved[max(0, len(to.Moved)-maxMoved):]
	if to.Led == nil {
		to.Led = e.Led
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

// takeBack takes out of a tag, which is as e says, what remove says yes to of where it is about to
// point, and returns the tag as it is then. A push that was about to point it there begins again.
//
// Errors: ErrChanged if the tag is not as e says.
func (r Repo) AbortMoves(ctx context.Context, tag string, e *Entry, remove func(PendingMove) bool) (*Entry, error) {
	return r.PutTag(ctx, tag, e, Entry{Descriptor: e.Descriptor, Pending: e.PendingWithout(remove)})
}
