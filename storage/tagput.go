package storage

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
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
	now  *entry // as it was written or read last
	next next
}

// maxNext bounds how many pushes may be about to move a tag. The oldest, which may have died, gives
// way and begins again, unless it follows a lead: others may have to wait for it.
const maxNext = 64

// leads reports whether a tag points at a manifest, or is about to.
func (e *entry) leads(d digest.Digest) bool {
	return e.Descriptor.Digest == d || e.isNext(d)
}

func (e *entry) isNext(d digest.Digest) bool {
	return slices.ContainsFunc(e.Next, func(n next) bool { return n.Descriptor.Digest == d })
}

// without is Next but for what remove says yes to.
func (e *entry) without(remove func(next) bool) []next {
	return slices.DeleteFunc(slices.Clone(e.Next), remove)
}

// with is Next with one more; ok is false if there are too many for it.
func (e *entry) with(n next) (to []next, ok bool) {
	to = slices.Clone(e.Next)
	if len(to) >= maxNext {
		i := slices.IndexFunc(to, func(o next) bool { return o.Lead == "" })
		if i < 0 {
			i = slices.IndexFunc(to, func(o next) bool { return time.Since(o.Time) >= claimTime })
		}
		if i < 0 {
			return nil, false
		}
		to = slices.Delete(to, i, i+1)
	}
	return append(to, n), true
}

// is reports whether a next is that of the move.
func (m *tagMove) is(n next) bool { return n.Nonce == m.next.Nonce }

// putTag writes a tag on the condition that it is as e says, and returns it as it is then. to.Moved
// is added to what e says. If to.Led is nil, that of e stays.
//
// Errors: ErrExist or ErrChanged if it is not; then what it is, if the write has found out, or nil.
func (s *Store) putTag(ctx context.Context, repo, tag string, e *entry, to entry) (*entry, error) {
	to.Nonce = nonce()
	to.Moved = slices.Concat(e.Moved, to.Moved)
	to.Moved = to.Moved[max(0, len(to.Moved)-maxMoved):]
	if to.Led == nil {
		to.Led = e.Led
	}
	if to.Born = e.Born; e.Descriptor.Digest == "" {
		to.Born = nonce()
	}
	var err error
	to.version, err = s.put(ctx, tagKey(repo, tag), e.version, &to, nil, driver.Deferred)
	var o *overtaken
	switch {
	case err == nil:
		return &to, nil
	case errors.As(err, &o) && o.info.Version != "":
		return decodeEntry(o.content, o.info), err
	}
	return nil, err
}

// tag points a tag that is not there, or points at the manifest already, at the manifest, and says
// of one that points elsewhere that it is about to do so. One that is not known to be there is
// taken not to be, as the write finds out if it is.
//
// Errors: registry.ErrTagExists if it is IfAbsent and points at another one;
// registry.ErrPreconditionFailed; errUnknown.
func (p *manifestPut) tag(ctx context.Context, put registry.TagPut) error {
	key, desc := tagKey(p.repo, put.Name), p.descriptor()
	_, seen := p.s.fresh.Get(key)
	now := &entry{}
	if seen || p.s.opts.History > 0 || !put.If.IsZero() {
		now = p.foreseen[put.Name]
		delete(p.foreseen, put.Name)
	}
	for n := range attempts {
		if n == 1 {
			giveBack, err := p.s.turns.take(ctx, key)
			if err != nil {
				return err
			}
			defer giveBack()
		}
		err := pause(ctx, n)
		if err == nil && now == nil {
			now, err = p.s.readEntry(ctx, key)
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
			to, ok := now.with(m.next)
			if !ok {
				now = nil
				continue
			}
			m.now, err = p.s.putTag(ctx, p.repo, put.Name, now, entry{Descriptor: now.Descriptor, Next: to})
			if changed(err) {
				now = m.now
				continue
			}
			if err == nil {
				p.mu.Lock()
				p.moves = append(p.moves, m)
				p.mu.Unlock()
			}
			return wire(err)
		}
		// One that points at it is written again, as a delete may be about to remove it in the
		// version that is there. That is no event.
		var b *begun
		if d == "" {
			if b, err = p.s.begin(ctx, p.repo, eventTag, put.Name, event{By: p.by, After: &desc}); err != nil {
				return err
			}
		}
		written, err := p.s.putTag(ctx, p.repo, put.Name, now, entry{Descriptor: desc, Next: now.Next, Moved: p.moved(put)})
		if changed(err) {
			b.end(ctx, p.hasSet(put, written))
			p.missed(put, now)
			now = written
			continue
		}
		if err != nil {
			return wire(err)
		}
		b.end(ctx, true)
		p.note(put)
		p.s.fresh.Add(key, struct{}{}, 1)
		info := driver.Info{Key: key, Version: written.version}
		p.create(info, d == "", now.version)
		return p.lead(info, nil)
	}
	return errContended
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
	err := parallel.Each(parallelism, len(created), func(i int) error {
		key := created[i].Key
		b, err := p.s.begin(ctx, p.repo, eventUntag, base(key), event{By: p.by, Before: &desc})
		if err != nil {
			return err
		}
		err = p.s.driver.Delete(ctx, key, created[i].Version)
		switch {
		case err == nil:
			b.end(ctx, true)
			removed[i] = true
		case errors.Is(err, driver.ErrNotExist) || changed(err):
			b.overtaken(ctx, key)
			return nil
		}
		return errors.Join(wire(err), p.s.sync(ctx, err, key))
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
	err = parallel.Each(parallelism, len(p.moves), func(i int) (err error) {
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
	key, desc := tagKey(p.repo, m.put.Name), p.descriptor()
	for n := range attempts {
		if n == 1 {
			giveBack, err := p.s.turns.take(ctx, key)
			if err != nil {
				return false, err
			}
			defer giveBack()
		}
		err := pause(ctx, n)
		if err == nil && m.now == nil {
			m.now, err = p.s.readEntry(ctx, key)
		}
		if err != nil {
			return false, err
		}
		if over, err := p.mayMove(ctx, m); over || err != nil {
			return over, err
		}
		before := m.now.Descriptor
		if !slices.ContainsFunc(m.now.Next, m.is) {
			return false, nil
		}
		e, to := m.now, entry{Descriptor: desc, Next: m.now.without(m.is)}
		if !m.put.If.IsZero() {
			if ok, err := p.mayDecide(ctx, m); !ok || err != nil {
				return false, err
			}
			if e, to, err = p.conditionalMove(ctx, m); err != nil {
				return false, err
			}
		}
		var b *begun
		if before.Digest != p.digest {
			if b, err = p.s.begin(ctx, p.repo, eventTag, m.put.Name, event{By: p.by, Before: &before,
				After: &desc}); err != nil {
				return false, err
			}
		}
		written, err := p.s.putTag(ctx, p.repo, m.put.Name, e, to)
		if changed(err) {
			// Where it is not about to move any more, it may have moved, the answer was lost, and
			// others have moved it on.
			p.missed(m.put, m.now)
			switch {
			case written == nil:
			case !m.put.If.IsZero():
				b.end(ctx, p.hasSet(m.put, written))
			case slices.ContainsFunc(written.Next, m.is):
				b.end(ctx, false)
			}
			m.now = written
			continue
		}
		if err != nil {
			return false, wire(err)
		}
		b.end(ctx, true)
		p.noteMove(m.put)
		m.now = written
		p.s.fresh.Add(key, struct{}{}, 1)
		return true, nil
	}
	return false, errContended
}

// stay takes back that tags are about to be pointed at the manifest. One that changes meanwhile is
// left to the collector.
func (p *manifestPut) stay(ctx context.Context) error {
	return parallel.Each(parallelism, len(p.moves), func(i int) error {
		m := p.moves[i]
		e, err := p.s.readEntry(ctx, tagKey(p.repo, m.put.Name))
		if err != nil || !slices.ContainsFunc(e.Next, m.is) {
			return err
		}
		if _, err := p.s.takeBack(ctx, p.repo, m.put.Name, e, m.is); !changed(err) {
			return wire(err)
		}
		return nil
	})
}

// takeBack takes out of a tag, which is as e says, what remove says yes to of where it is about to
// point, and returns the tag as it is then. A push that was about to point it there begins again.
//
// Errors: ErrChanged if the tag is not as e says.
func (s *Store) takeBack(ctx context.Context, repo, tag string, e *entry, remove func(next) bool) (*entry, error) {
	return s.putTag(ctx, repo, tag, e, entry{Descriptor: e.Descriptor, Next: e.without(remove)})
}
