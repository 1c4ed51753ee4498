package storage

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// A tag that points elsewhere is moved in two writes, so that a push that is refused, because its
// manifest is deleted or collected meanwhile, leaves it where it was. The first adds the manifest
// to entry.Next, which holds on to it as the tag itself would. Then it is looked whether the
// manifest is as it was: if so, whoever marks it from now on finds the tag. The second points the
// tag at it, on the condition that the push's own next has been there all the time. The model is
// internal/model/tags.pml.

// tagMove is a tag that a push is about to point at its manifest.
type tagMove struct {
	put  registry.TagPut
	now  *object.Entry // as it was written or read last
	next object.PendingMove
}

// is reports whether a next is that of the move.
func (m *tagMove) is(n object.PendingMove) bool { return n.Nonce == m.next.Nonce }

// tag points a tag that is not there, or points at the manifest already, at the manifest, and says
// of one that points elsewhere that it is about to do so. One that is not known to be there is
// taken not to be, as the write finds out if it is.
//
// Errors: registry.ErrTagExists if it is IfAbsent and points at another one;
// registry.ErrPreconditionFailed; errUnknown.
func (p *manifestPut) tag(ctx context.Context, put registry.TagPut) error {
	key, desc := p.repo.TagKey(put.Name), p.descriptor()
	_, seen := p.repo.Written.Get(key)
	now := &object.Entry{}
	if seen || p.repo.store.opts.History > 0 || !put.If.IsZero() {
		now = p.foreseen[put.Name]
		delete(p.foreseen, put.Name)
	}
	for n := range object.MaxAttempts {
		if n == 1 {
			giveBack, err := p.repo.Locks.Lock(ctx, key)
			if err != nil {
				return err
			}
			defer giveBack()
		}
		err := object.Pause(ctx, n)
		if err == nil && now == nil {
			now, err = p.repo.ReadEntry(ctx, key)
		}
		if err != nil {
			return err
		}
		if over, err := p.meets(ctx, put, now); over || err != nil {
			return err
		}
		d := now.Descriptor.Digest // "" of one that is absent, or cut short
		if d != "" && d != p.digest {
			if put.IfAbsent {
				return registry.ErrTagExists.WithDetail(map[string]string{"tag": put.Name})
			}
			m := &tagMove{put: put, next: p.pendingMove(put)}
			to, ok := now.PendingWith(m.next)
			if !ok {
				now = nil
				continue
			}
			m.now, err = p.repo.PutTag(ctx, put.Name, now, object.Entry{Descriptor: now.Descriptor, Pending: to})
			if object.IsConflict(err) {
				now = m.now
				continue
			}
			if err == nil {
				p.mu.Lock()
				p.moves = append(p.moves, m)
				p.mu.Unlock()
			}
			return object.RegistryError(err)
		}
		// One that points at it is written again, as a delete may be about to remove it in the
		// version that is there. That is no event.
		var b *object.OpenEvent
		if d == "" {
			if b, err = p.repo.BeginEvent(ctx, object.EventTag, put.Name, object.Event{By: p.by, After: &desc}); err != nil {
				return err
			}
		}
		written, err := p.repo.PutTag(ctx, put.Name, now, object.Entry{Descriptor: desc, Pending: now.Pending, Moved: p.moved(put)})
		if object.IsConflict(err) {
			b.End(ctx, p.hasSet(put, written))
			p.missed(put, now)
			now = written
			continue
		}
		if err != nil {
			return object.RegistryError(err)
		}
		b.End(ctx, true)
		p.note(put)
		p.repo.Written.Add(key, struct{}{}, 1)
		info := driver.Info{Key: key, Version: written.Version}
		p.create(info, d == "", now.Version)
		return p.lead(info, nil)
	}
	return object.ErrContended
}

// create notes a tag that was not there before this push, which may have written it in the version
// before.
func (p *manifestPut) create(info driver.Info, absent bool, before string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if absent || slices.ContainsFunc(p.created, func(i driver.Info) bool { return i.Key == info.Key && i.Version == before }) {
		p.created = append(p.created, info)
	}
}

// untag removes the tags that this push has created, which is refused. One that somebody has
// written again stays, and p.unclean reports it.
func (p *manifestPut) untag(ctx context.Context) error {
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
			b.End(ctx, true)
			removed[i] = true
		case errors.Is(err, driver.ErrNotExist) || object.IsConflict(err):
			b.DiscardUnlessGone(ctx, key)
			return nil
		}
		return errors.Join(object.RegistryError(err), p.repo.Sync(ctx, err, key))
	})
	done := map[string]bool{} // it may have been written several times
	for i, info := range created {
		done[info.Key] = done[info.Key] || removed[i]
	}
	p.unclean = p.unclean || slices.Contains(slices.Collect(maps.Values(done)), false)
	return err
}

// move points the tags at the manifest that are about to; done is false if one is not any more, and
// the push must begin again.
func (p *manifestPut) move(ctx context.Context) (done bool, err error) {
	if p.conditional() {
		return p.moveInOrder(ctx)
	}
	moved := make([]bool, len(p.moves))
	err = parallel.Each(object.Parallelism, len(p.moves), func(i int) (err error) {
		moved[i], err = p.moveTag(ctx, p.moves[i])
		return err
	})
	return err == nil && !slices.Contains(moved, false), err
}

// moveTag points a tag at the manifest, and writes that into the history, unless somebody has taken
// back that it is about to: a collector to whom the push seemed to have died, a delete of the tag
// or of the manifest, or too many others.
//
// Errors: registry.ErrPreconditionFailed, errUnknown; errHalfWay if another push is to come first.
func (p *manifestPut) moveTag(ctx context.Context, m *tagMove) (moved bool, err error) {
	key, desc := p.repo.TagKey(m.put.Name), p.descriptor()
	for n := range object.MaxAttempts {
		if n == 1 {
			giveBack, err := p.repo.Locks.Lock(ctx, key)
			if err != nil {
				return false, err
			}
			defer giveBack()
		}
		err := object.Pause(ctx, n)
		if err == nil && m.now == nil {
			m.now, err = p.repo.ReadEntry(ctx, key)
		}
		if err != nil {
			return false, err
		}
		if over, err := p.mayMove(ctx, m); over || err != nil {
			return over, err
		}
		before := m.now.Descriptor
		if !slices.ContainsFunc(m.now.Pending, m.is) {
			return false, nil
		}
		e, to := m.now, object.Entry{Descriptor: desc, Pending: m.now.PendingWithout(m.is)}
		if !m.put.If.IsZero() {
			if ok, err := p.mayDecide(ctx, m); !ok || err != nil {
				return false, err
			}
			if e, to, err = p.conditionalMove(ctx, m); err != nil {
				return false, err
			}
		}
		var b *object.OpenEvent
		if before.Digest != p.digest {
			if b, err = p.repo.BeginEvent(ctx, object.EventTag, m.put.Name, object.Event{By: p.by, Before: &before,
				After: &desc}); err != nil {
				return false, err
			}
		}
		written, err := p.repo.PutTag(ctx, m.put.Name, e, to)
		if object.IsConflict(err) {
			// Where it is not about to move any more, it may have moved, the answer was lost, and
			// others have moved it on.
			p.missed(m.put, m.now)
			switch {
			case written == nil:
			case !m.put.If.IsZero():
				b.End(ctx, p.hasSet(m.put, written))
			case slices.ContainsFunc(written.Pending, m.is):
				b.End(ctx, false)
			}
			m.now = written
			continue
		}
		if err != nil {
			return false, object.RegistryError(err)
		}
		b.End(ctx, true)
		p.noteMove(m.put)
		m.now = written
		p.repo.Written.Add(key, struct{}{}, 1)
		return true, nil
	}
	return false, object.ErrContended
}

// stay takes back that tags are about to be pointed at the manifest. One that changes meanwhile is
// left to the collector.
func (p *manifestPut) stay(ctx context.Context) error {
	return parallel.Each(object.Parallelism, len(p.moves), func(i int) error {
		m := p.moves[i]
		e, err := p.repo.ReadEntry(ctx, p.repo.TagKey(m.put.Name))
		if err != nil || !slices.ContainsFunc(e.Pending, m.is) {
			return err
		}
		if _, err := p.repo.AbortMoves(ctx, m.put.Name, e, m.is); !object.IsConflict(err) {
			return object.RegistryError(err)
		}
		return nil
	})
}
