package storage

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// A push sets a tag that is absent, or that points at its manifest already, with one write (setTag). It
// moves a tag that points at another manifest with two writes, so that a push that is refused, because
// its manifest was deleted or collected in between, leaves the tag where it was:
//
//  1. addPendingMove adds the manifest to Entry.Pending. Deletes and collectors treat a pending move as
//     if the tag pointed at the manifest already.
//  2. The push checks that its manifest is unchanged (attempt). If it is, whoever marks the manifest from
//     now on finds the pending move.
//  3. completeMove points the tag at the manifest, on the condition that this push's pending move has
//     been there all the time.
//
// A collector aborts the pending moves of pushes that seem to have died, and deletes abort those to the
// manifest or tag that they delete. A push whose move was aborted starts again.
//
// The model is internal/model/tags.pml.

// tagMove is a move that the push has made pending.
type tagMove struct {
	put     registry.TagPut
	now     *object.Entry // the tag as it was last read or written; nil if that is not known
	pending object.PendingMove
}

// is reports whether a pending move is this one.
func (m *tagMove) is(n object.PendingMove) bool { return n.Nonce == m.pending.Nonce }

// isPending reports whether the tag still has the pending move, as far as is known.
func (m *tagMove) isPending() bool { return slices.ContainsFunc(m.now.Pending, m.is) }

// setTag sets a tag that is absent or points at the manifest, and makes a move pending for a tag that
// points elsewhere. A tag of which nothing is known is assumed to be absent: if it is not, the
// conditional write fails and returns it.
//
// Errors: registry.ErrTagExists if put is IfAbsent and the tag points elsewhere;
// registry.ErrPreconditionFailed; errUnknown.
func (p *manifestPut) setTag(ctx context.Context, put registry.TagPut) error {
	key := p.repo.TagKey(put.Name)
	now := p.assumedTag(put)
	var err error
	for range p.repo.AttemptsInTurn(ctx, key, &err) {
		if now == nil {
			if now, err = p.repo.ReadEntry(ctx, key); err != nil {
				return err
			}
		}
		if finished, err := p.isFinished(ctx, put, now); finished || err != nil {
			return err
		}
		var done bool
		if d := now.Descriptor.Digest; d == "" || d == p.digest {
			now, done, err = p.writeTag(ctx, put, now)
		} else if put.IfAbsent {
			return registry.ErrTagExists.WithDetail(map[string]string{"tag": put.Name})
		} else {
			now, done, err = p.addPendingMove(ctx, put, now)
		}
		if done || err != nil {
			return err
		}
	}
	return err
}

// assumedTag returns what setTag assumes about a tag before it has read it, or nil if it must read
// it.
func (p *manifestPut) assumedTag(put registry.TagPut) *object.Entry {
	_, written := p.repo.Written.Get(p.repo.TagKey(put.Name))
	if !written && p.repo.History == 0 && put.If.IsZero() {
		return &object.Entry{}
	}
	now := p.foreseen[put.Name]
	delete(p.foreseen, put.Name)
	return now
}

// addPendingMove makes a move of a tag, known as was, pending. done is false if another writer came
// first, or if the tag has too many pending moves; then now is the tag as it is, or nil if that is
// not known.
func (p *manifestPut) addPendingMove(ctx context.Context, put registry.TagPut,
	was *object.Entry) (now *object.Entry, done bool, err error) {
	m := &tagMove{put: put, pending: p.pendingMove(put)}
	pending, ok := was.PendingWith(m.pending)
	if !ok {
		return nil, false, nil
	}
	m.now, err = p.repo.PutTag(ctx, put.Name, was, object.Entry{Descriptor: was.Descriptor, Pending: pending})
	if driver.IsConflict(err) {
		return m.now, false, nil
	}
	if err != nil {
		return nil, false, object.RegistryError(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moves = append(p.moves, m)
	return m.now, true, nil
}

// writeTag writes a tag, known as was, that is absent or points at the manifest already. The latter is
// written again, because a delete may be about to remove it in the version that is there; that is no
// event. The results are those of addPendingMove.
func (p *manifestPut) writeTag(ctx context.Context, put registry.TagPut,
	was *object.Entry) (now *object.Entry, done bool, err error) {
	desc, absent := p.descriptor(), was.Descriptor.Digest == ""
	var b *object.OpenEvent
	if absent {
		b, err = p.repo.BeginEvent(ctx, object.EventTag, put.Name, object.Event{By: p.by, After: &desc})
		if err != nil {
			return nil, false, err
		}
	}
	now, err = p.repo.PutTag(ctx, put.Name, was, object.Entry{
		Descriptor: desc, Pending: was.Pending, Moved: p.moved(put), Set: setTime(put, was),
	})
	if driver.IsConflict(err) {
		b.End(ctx, object.OutcomeIf(p.hasSet(put, now)))
		p.missed(put, was)
		return now, false, nil
	}
	if err != nil {
		return nil, false, object.RegistryError(err)
	}
	b.End(ctx, object.Happened)
	p.note(put)
	if absent {
		p.notePrevious(put.Name, nil)
	}
	info := driver.Info{Key: p.repo.TagKey(put.Name), Version: now.Version}
	p.repo.Written.Add(info.Key, struct{}{}, 1)
	p.noteCreated(info, absent, was.Version)
	return now, true, p.notePointer(info, nil)
}

// setTime returns the set time of a tag, known as was, that a push sets now.
func setTime(put registry.TagPut, was *object.Entry) time.Time {
	now := time.Now()
	if put.Time.IsZero() || put.Time.After(now) {
		return was.SetAfter(now)
	}
	return put.Time.UTC().Round(0)
}

// noteCreated notes a tag that was absent before this push: it was absent just now, or this push itself
// wrote the version before.
func (p *manifestPut) noteCreated(info driver.Info, absent bool, before string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := func(i driver.Info) bool { return i.Key == info.Key && i.Version == before }
	if absent || slices.ContainsFunc(p.created, own) {
		p.created = append(p.created, info)
	}
}

// notePrevious notes where a tag points before the push moves it, or with nil that the push has
// created it. A move is noted before its write, because the response may be lost: a push that
// starts again then finds that the tag points at its manifest.
func (p *manifestPut) notePrevious(tag string, before *ocispec.Descriptor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.previous, tag)
	if before != nil {
		if p.previous == nil {
			p.previous = map[string]ocispec.Descriptor{}
		}
		p.previous[tag] = *before
	}
}

// removeCreated removes the tags that this push has created, because it is refused. A tag that another
// writer has changed stays; then p.unclean is set.
func (p *manifestPut) removeCreated(ctx context.Context) error {
	desc, created := p.descriptor(), p.created
	p.created = nil
	removed := make([]bool, len(created))
	err := parallel.Each(object.Parallelism, len(created), func(i int) error {
		key := created[i].Key
		b, err := p.repo.BeginEvent(ctx, object.EventUntag, object.Base(key), object.Event{By: p.by, Before: &desc})
		if err != nil {
			return err
		}
		err = p.repo.Driver.Delete(ctx, key, created[i].Version)
		switch {
		case err == nil:
			b.End(ctx, object.Happened)
			removed[i] = true
		case errors.Is(err, driver.ErrNotExist) || driver.IsConflict(err):
			b.DiscardUnlessGone(ctx, key)
			return nil
		}
		return errors.Join(object.RegistryError(err), p.repo.SyncAfter(ctx, err, key))
	})
	done := map[string]bool{} // the push may have written a tag several times
	for i, info := range created {
		done[info.Key] = done[info.Key] || removed[i]
	}
	p.unclean = p.unclean || slices.Contains(slices.Collect(maps.Values(done)), false)
	return err
}

// completeMoves completes the pending moves. done is false if one of them was aborted, so that the push
// must start again.
func (p *manifestPut) completeMoves(ctx context.Context) (done bool, err error) {
	if p.conditional() {
		return p.completeInOrder(ctx)
	}
	moved := make([]bool, len(p.moves))
	err = parallel.Each(object.Parallelism, len(p.moves), func(i int) (err error) {
		moved[i], err = p.completeMove(ctx, p.moves[i])
		return err
	})
	return err == nil && !slices.Contains(moved, false), err
}

// completeMove points a tag at the manifest and records that in the history. moved is false if the
// pending move is gone: a collector that took the push for dead has aborted it, or a delete of the tag
// or of the manifest, or one of too many other pushes.
//
// Errors: registry.ErrPreconditionFailed, errUnknown; errHalfWay if another push must come first.
func (p *manifestPut) completeMove(ctx context.Context, m *tagMove) (moved bool, err error) {
	key := p.repo.TagKey(m.put.Name)
	for range p.repo.AttemptsInTurn(ctx, key, &err) {
		if m.now == nil {
			if m.now, err = p.repo.ReadEntry(ctx, key); err != nil {
				return false, err
			}
		}
		if moved, err := p.isMoved(ctx, m); moved || err != nil {
			return moved, err
		}
		if !m.isPending() {
			return false, nil
		}
		from, to := m.now, object.Entry{
			Descriptor: p.descriptor(), Pending: m.now.PendingWithout(m.is), Set: setTime(m.put, m.now),
		}
		if !m.put.If.IsZero() {
			if ok, err := p.mayDecide(ctx, m); !ok || err != nil {
				return false, err
			}
			if from, to, err = p.conditionalMove(ctx, m); err != nil {
				return false, err
			}
		}
		if done, err := p.writeMove(ctx, m, from, to); done || err != nil {
			return done, err
		}
	}
	return false, err
}

// writeMove replaces the tag, known as from, by to. done is false if another writer came first; then
// m.now is the tag as it is, or nil.
func (p *manifestPut) writeMove(ctx context.Context, m *tagMove, from *object.Entry,
	to object.Entry) (done bool, err error) {
	before, desc := m.now.Descriptor, p.descriptor()
	var b *object.OpenEvent
	if before.Digest != p.digest {
		b, err = p.repo.BeginEvent(ctx, object.EventTag, m.put.Name, object.Event{By: p.by, Before: &before, After: &desc})
		if err != nil {
			return false, err
		}
		p.notePrevious(m.put.Name, &before)
	}
	written, err := p.repo.PutTag(ctx, m.put.Name, from, to)
	if driver.IsConflict(err) {
		// If the tag is known and has no such pending move, this write may have happened, its response
		// was lost, and others have moved the tag on. Then the event stays unconfirmed.
		p.missed(m.put, m.now)
		m.now = written
		switch {
		case written == nil:
		case !m.put.If.IsZero():
			b.End(ctx, object.OutcomeIf(p.hasSet(m.put, written)))
		case m.isPending():
			b.End(ctx, object.DidNotHappen)
		}
		return false, nil
	}
	if err != nil {
		return false, object.RegistryError(err)
	}
	b.End(ctx, object.Happened)
	p.noteMove(m.put)
	m.now = written
	p.repo.Written.Add(p.repo.TagKey(m.put.Name), struct{}{}, 1)
	return true, nil
}

// abortMoves removes the pending moves of this push. If a tag changes at the same time, its pending
// move is left to collectors.
func (p *manifestPut) abortMoves(ctx context.Context) error {
	return parallel.Each(object.Parallelism, len(p.moves), func(i int) error {
		m := p.moves[i]
		e, err := p.repo.ReadEntry(ctx, p.repo.TagKey(m.put.Name))
		if err != nil || !slices.ContainsFunc(e.Pending, m.is) {
			return err
		}
		if _, err := p.repo.AbortMoves(ctx, m.put.Name, e, m.is); !driver.IsConflict(err) {
			return object.RegistryError(err)
		}
		return nil
	})
}
