package storage

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// The condition of a tag (registry.TagPut.If) is checked again before each write that depends on
// it, against the very version that the write replaces: when a pending move is added to entry.Next,
// and when the move is completed. So a pending move promises nothing to its push, and stops nobody:
// of several pushes that expect the same digest, the first that completes its move wins, and the
// others find another digest there. The model is internal/model/tags.pml, with COND.
//
// A push that sets several tags on a condition moves all of them or none. The first of its moves
// decides: it is the lead. A push that has completed its lead completes the others; before that, it
// has moved nothing. Whoever is about to change tags on a condition looks, with its own pending
// moves in place, for those of such pushes on the same tags: it waits for a push that has completed
// its lead, and takes the lead of another one back, which then begins again. Changes without a
// condition wait for nobody: they count as later than the push that they overtake. The model is
// internal/model/leads.pml.

// maxMoved bounds entry.Moved.
const maxMoved = 64

// claimTime is for how long conditional changes of a tag wait for a push that has completed its
// lead and not this tag. A push that takes longer has most probably died.
const claimTime = time.Minute

// preconditionFailed is the refusal of a change of what ref names.
func preconditionFailed(ref reference.Ref) error {
	detail := map[string]string{"tag": ref.Tag}
	if ref.Tag == "" {
		detail = map[string]string{"digest": string(ref.Digest)}
	}
	return registry.ErrPreconditionFailed.WithDetail(detail)
}

// require returns an error unless a condition holds of a tag as e says. A tag whose manifest is
// gone is not there for readers, and so not for a condition that expects nothing there.
//
// Errors: registry.ErrPreconditionFailed.
func (s *Store) require(ctx context.Context, repo, tag string, c *registry.Condition, e *entry) error {
	d := e.Descriptor.Digest
	if c.Holds(d) {
		return nil
	}
	if d != "" && c.Holds("") {
		if m, err := s.readManifest(ctx, repo, d); err != nil || !m.readable() {
			return err
		}
	}
	return preconditionFailed(reference.Ref{Tag: tag})
}

// requireDigest returns an error unless a condition holds of a manifest or blob that is there.
//
// Errors: registry.ErrPreconditionFailed.
func requireDigest(c *registry.Condition, d digest.Digest) error {
	if c.Holds(d) {
		return nil
	}
	return preconditionFailed(reference.Ref{Digest: d})
}

// conditional reports whether a tag of the push has a condition.
func (p *manifestPut) conditional() bool {
	return slices.ContainsFunc(p.tags, func(t registry.TagPut) bool { return !t.If.IsZero() })
}

// foresee refuses a push whose conditions do not hold before it has written anything, and keeps
// what it has found for the first attempt.
//
// Errors: registry.ErrPreconditionFailed.
func (p *manifestPut) foresee(ctx context.Context) error {
	if !p.conditional() {
		return nil
	}
	found := make([]*entry, len(p.tags))
	err := inParallel(len(p.tags), func(i int) (err error) {
		t := p.tags[i]
		if t.If.IsZero() {
			return nil
		}
		if found[i], err = p.s.readEntry(ctx, tagKey(p.repo, t.Name)); err != nil {
			return err
		}
		_, err = p.meets(ctx, t, found[i])
		return err
	})
	if err != nil {
		return err
	}
	p.foreseen = map[string]*entry{}
	for i, t := range p.tags {
		if found[i] != nil {
			p.foreseen[t.Name] = found[i]
		}
	}
	return nil
}

// meets returns an error unless the condition of a tag holds of it as now says. Once the push has
// set the tag, the condition is met for good: over reports that somebody else has moved the tag on
// since, so that nothing is left to do.
//
// Errors: registry.ErrPreconditionFailed.
func (p *manifestPut) meets(ctx context.Context, put registry.TagPut, now *entry) (over bool, err error) {
	if put.If.IsZero() {
		return false, nil
	}
	if p.hasSet(put.Name, now) {
		return now.Descriptor.Digest != "" && now.Descriptor.Digest != p.digest, nil
	}
	err = p.s.require(ctx, p.repo, put.Name, put.If, now)
	if p.decided && errors.Is(err, registry.ErrPreconditionFailed) {
		// A change without a condition has come after the lead.
		return true, nil
	}
	return false, err
}

// meetsManifest returns an error unless the condition on the manifest holds of it as it is. Once
// this push has made it visible, the condition is met for good.
//
// Errors: registry.ErrPreconditionFailed.
func (p *manifestPut) meetsManifest(m *manifestRecord) error {
	if p.shown || p.cond.Holds("") && !m.readable() || p.cond.Holds(p.digest) && m.readable() {
		return nil
	}
	return preconditionFailed(reference.Ref{Digest: p.digest})
}

// hasSet reports whether the push has set a tag before. The entry tells if the answer to the write
// was lost.
func (p *manifestPut) hasSet(tag string, now *entry) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now != nil && slices.Contains(now.Moved, p.nonce) {
		p.setTags[tag] = true
	}
	return p.setTags[tag]
}

// note notes that the push has set a tag that has a condition.
func (p *manifestPut) note(put registry.TagPut) {
	if !put.If.IsZero() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.setTags[put.Name] = true
	}
}

// moved is the entry.Moved of what sets a tag.
func (p *manifestPut) moved(put registry.TagPut) []string {
	if put.If.IsZero() {
		return nil
	}
	return []string{p.nonce}
}

// inOrder calls f for each tag: one after the other if one has a condition, those with a condition
// first, so that of two pushes that get in each other's way at several tags one gets all.
func (p *manifestPut) inOrder(f func(put registry.TagPut) error) error {
	if !p.conditional() {
		return inParallel(len(p.tags), func(i int) error { return f(p.tags[i]) })
	}
	tags := slices.Clone(p.tags)
	slices.SortStableFunc(tags, func(a, b registry.TagPut) int {
		switch {
		case a.If.IsZero() == b.If.IsZero():
			return cmp.Compare(a.Name, b.Name)
		case b.If.IsZero():
			return -1
		}
		return 1
	})
	for _, t := range tags {
		if err := f(t); err != nil {
			return err
		}
	}
	return nil
}

// pendingMove is what entry.Next says of a move that begins. The first move of a tag with a
// condition leads the others.
func (p *manifestPut) pendingMove(put registry.TagPut) next {
	n := next{Nonce: nonce(), Descriptor: p.descriptor(), Time: time.Now().UTC()}
	if !put.If.IsZero() {
		p.mu.Lock()
		defer p.mu.Unlock()
		n.Push = p.nonce
		if len(p.moves) > 0 {
			n.Lead = p.moves[0].put.Name
		}
	}
	return n
}

// mayMove looks whether a pending move still meets its condition. over reports that there is
// nothing to move any more: the push has moved the tag and lost the answer, or a change without a
// condition has come after the lead.
//
// Errors: registry.ErrPreconditionFailed.
func (p *manifestPut) mayMove(ctx context.Context, m *tagMove) (over bool, err error) {
	switch {
	case m.put.If.IsZero():
		return false, nil
	case p.hasSet(m.put.Name, m.now):
		p.decided = true
		return true, nil
	}
	err = p.s.require(ctx, p.repo, m.put.Name, m.put.If, m.now)
	if !p.decided || !errors.Is(err, registry.ErrPreconditionFailed) {
		return false, err
	}
	if slices.ContainsFunc(m.now.Next, m.is) {
		// If the tag changes meanwhile, the pending move is left to the collector.
		_, _ = p.s.takeBack(ctx, p.repo, m.put.Name, m.now, m.is)
	}
	return true, nil
}

// noteMove notes that the push has moved a tag. Tags without a condition may be moved at once.
func (p *manifestPut) noteMove(put registry.TagPut) {
	if !put.If.IsZero() {
		p.note(put)
		p.decided = true
	}
}

// moveInOrder is move for a push that has tags with a condition: the lead goes first.
func (p *manifestPut) moveInOrder(ctx context.Context) (done bool, err error) {
	if !p.decided && len(p.moves) > 1 {
		if ready, err := p.ready(ctx); err != nil || !ready {
			return false, err
		}
	}
	for _, m := range p.moves {
		if moved, err := p.moveTag(ctx, m); err != nil || !moved {
			return false, err
		}
	}
	return true, nil
}

// ready reports whether the push may complete its lead: each of its pending moves is in place, and
// no other push is on its way to the end at one of their tags.
//
// Errors: registry.ErrPreconditionFailed.
func (p *manifestPut) ready(ctx context.Context) (bool, error) {
	for _, m := range p.moves {
		if m.put.If.IsZero() {
			continue
		}
		now, err := p.s.readEntry(ctx, tagKey(p.repo, m.put.Name))
		if err != nil {
			return false, err
		}
		m.now = now
		if over, err := p.mayMove(ctx, m); over || err != nil {
			return over, err
		}
		if !slices.ContainsFunc(now.Next, m.is) {
			return false, nil
		}
		if again, err := p.s.giveWay(ctx, p.repo, now, p.nonce); again || err != nil {
			return false, err
		}
	}
	return true, nil
}

// giveWay sees to the pending moves on a tag that belong to pushes of several tags, other than own,
// before the tag is changed on a condition. again reports that one of them is on its way to the
// end, so that the tag is about to be another.
func (s *Store) giveWay(ctx context.Context, repo string, e *entry, own string) (again bool, err error) {
	for _, n := range e.Next {
		if n.Push == "" || n.Push == own || reference.CheckTag(n.Lead) != nil { // no lead, most often
			continue
		}
		lead, err := s.readEntry(ctx, tagKey(repo, n.Lead))
		if err != nil {
			return false, err
		}
		ofPush := func(o next) bool { return o.Push == n.Push }
		switch {
		case slices.Contains(lead.Moved, n.Push):
			if time.Since(n.Time) < claimTime {
				return true, nil
			}
		case slices.ContainsFunc(lead.Next, ofPush):
			if _, err := s.takeBack(ctx, repo, n.Lead, lead, ofPush); changed(err) {
				return true, nil
			} else if err != nil {
				return false, wire(err)
			}
		}
	}
	return false, nil
}
