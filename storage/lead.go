package storage

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// A push that sets several tags on a condition moves all of them or none. The first of its moves,
// the lead, decides: a push that has completed its lead completes the other moves, and before that
// it has moved nothing. Before a writer changes a tag on a condition, it looks, with its own
// pending moves in place, for such pushes of the same tag. It waits for a push that has completed
// its lead. It aborts the lead of any other push, which then starts again. Changes without a
// condition wait for nobody: they count as later than the push that they overtake. The model is
// internal/model/leads.pml.
//
// A conditional change removes the pending moves of all other conditional pushes from the tag in
// the same write. So pushes with the same lead need not look at each other. If a push that has
// completed its lead finds that another tag has changed, its own pending move tells it why. If the
// pending move is still there, the change had no condition. If it is gone, the outcome is unknown:
// another writer has waited for too long, or has deleted the lead or the pending move.

// errHalfWay is returned when another push is about to finish, or was just made to start again, so
// that a conditional change must look again.
var errHalfWay = errors.New("storage: another push of the tag is half-way")

// pendingMove returns a new pending move of a tag. The first conditional move of a push leads the
// others.
func (p *manifestPut) pendingMove(put registry.TagPut) object.PendingMove {
	n := object.PendingMove{Nonce: object.NewNonce(), Descriptor: p.descriptor(), Time: time.Now().UTC()}
	if !put.If.IsZero() {
		n.Push = p.nonce
		if n.Lead = p.leadTag; n.Lead == "" && len(p.moves) > 0 {
			n.Lead = p.moves[0].put.Name
		}
	}
	return n
}

// isMoved reports whether nothing is left to move: the push has moved the tag and the response was
// lost, or a change without a condition came after the lead. Otherwise it returns an error unless
// the condition of the move still holds.
//
// Errors: registry.ErrPreconditionFailed, errUnknown.
func (p *manifestPut) isMoved(ctx context.Context, m *tagMove) (moved bool, err error) {
	if m.put.If.IsZero() {
		return false, nil
	}
	waits := m.isPending()
	if waits { // so it has not been moved
		p.settings[m.put.Name].tried = nil
	}
	set, err := p.holds(ctx, m.put, m.now)
	switch {
	case set:
		p.noteMove(m.put)
		return true, nil
	case !p.decided || !errors.Is(err, registry.ErrPreconditionFailed):
		return false, err
	case !waits:
		return false, errUnknown
	}
	// If the tag changes at the same time, the pending move is left to collectors.
	_, _ = p.repo.AbortMoves(ctx, m.put.Name, m.now, m.is)
	return true, nil
}

// noteMove records that the push has moved a tag. A tag without a condition decides nothing.
func (p *manifestPut) noteMove(put registry.TagPut) {
	if put.If.IsZero() {
		return
	}
	p.note(put)
	if p.decided = true; p.leadTag == "" {
		p.leadTag = put.Name
	}
}

// completeInOrder is completeMoves for a push with conditions: it completes the lead first. Until
// then, the push waits for other pushes with its pending moves in place.
func (p *manifestPut) completeInOrder(ctx context.Context) (done bool, err error) {
	for n := range object.Attempts(ctx, &err) {
		if n > 0 {
			for _, m := range p.moves {
				m.now = nil
			}
		}
		if done, err = p.completeEach(ctx); !errors.Is(err, errHalfWay) {
			return done, err
		}
	}
	return false, err
}

// completeEach completes the moves one after the other.
//
// Errors: registry.ErrPreconditionFailed, errUnknown, errHalfWay.
func (p *manifestPut) completeEach(ctx context.Context) (done bool, err error) {
	if !p.decided && len(p.moves) > 1 {
		if ready, err := p.ready(ctx); err != nil || !ready {
			return false, err
		}
	}
	for _, m := range p.moves {
		if moved, err := p.completeMove(ctx, m); err != nil || !moved {
			return false, err
		}
	}
	return true, nil
}

// ready reports whether the push may complete its lead: all its pending moves are in place, and no
// other push is about to finish on one of their tags.
//
// Errors: registry.ErrPreconditionFailed, errUnknown, errHalfWay.
func (p *manifestPut) ready(ctx context.Context) (bool, error) {
	for _, m := range p.moves {
		if m.put.If.IsZero() {
			continue
		}
		now, err := p.repo.ReadEntry(ctx, p.repo.TagKey(m.put.Name))
		if err != nil {
			return false, err
		}
		m.now = now
		if moved, err := p.isMoved(ctx, m); moved || err != nil {
			return moved, err // the lead, and the response was lost
		}
		if !slices.ContainsFunc(now.Pending, m.is) || time.Since(m.pending.Time) > object.ClaimTime/2 {
			return false, nil
		}
	}
	// A push with the same lead that completes it from now on removes this push's pending move from
	// it.
	own := claim{push: p.nonce, lead: p.moves[0].put.Name}
	leads := map[string]*object.Entry{own.lead: p.moves[0].now}
	if p.moves[0].put.If.IsZero() { // so are all
		return true, nil
	}
	for _, m := range p.moves {
		if m.put.If.IsZero() {
			continue
		}
		if err := p.repo.giveWay(ctx, m.now, own, leads); err != nil {
			return false, err
		}
	}
	return true, nil
}

// mayDecide is the last check before a conditional move. ok is false if the push must start again.
//
// Errors: errHalfWay.
func (p *manifestPut) mayDecide(ctx context.Context, m *tagMove) (ok bool, err error) {
	if p.decided {
		return true, nil
	}
	if len(p.moves) > 1 && time.Since(m.pending.Time) > object.ClaimTime/2 {
		return false, nil // others would not wait for long
	}
	return true, p.repo.giveWay(ctx, m.now, claim{push: p.nonce}, map[string]*object.Entry{})
}

// conditionalMove returns the entry that a conditional move replaces, and the entry that it writes.
//
// Errors: errHalfWay.
func (p *manifestPut) conditionalMove(ctx context.Context, m *tagMove) (e *object.Entry, to object.Entry, err error) {
	e = m.now
	if p.settings[m.put.Name].dangling {
		// Readers do not see this tag, so the move counts as creating it. A push that has set the
		// tag before cannot know whether anybody saw it.
		e = &object.Entry{Version: e.Version}
	}
	to = object.Entry{
		Descriptor: p.descriptor(), Moved: p.moved(m.put), Set: setTime(m.put, m.now),
		Pending: m.now.PendingWithout(func(n object.PendingMove) bool {
			return m.is(n) || n.Push != "" && n.Push != p.nonce
		}),
	}
	var others []string
	for _, o := range p.moves {
		if o != m && !o.put.If.IsZero() {
			others = append(others, o.put.Name)
		}
	}
	if p.decided || len(others) == 0 {
		return e, to, nil
	}
	to.Decided, err = p.stillDecided(ctx, e)
	to.Decided = append(to.Decided, object.DecidedPush{Push: p.nonce, Time: time.Now().UTC(), Tags: others})
	return e, to, err
}

// stillDecided returns the pushes in Entry.Decided of the lead that may still have tags to move: pushes are
// left out that are known to have finished, and those that have most probably died.
//
// Errors: errHalfWay if there are too many.
func (p *manifestPut) stillDecided(ctx context.Context, e *object.Entry) ([]object.DecidedPush, error) {
	seen := map[string]*object.Entry{}
	for _, m := range p.moves {
		if m.now != nil {
			seen[m.put.Name] = m.now
		}
	}
	left := slices.DeleteFunc(slices.Clone(e.Decided), func(l object.DecidedPush) bool {
		return time.Since(l.Time) > 2*object.ClaimTime || !l.Waits(seen)
	})
	if len(left) < object.MaxDecided {
		return left, nil
	}
	for _, l := range left {
		for _, tag := range l.Tags {
			if err := p.repo.lookAt(ctx, tag, seen); err != nil {
				return nil, err
			}
		}
	}
	left = slices.DeleteFunc(left, func(l object.DecidedPush) bool { return !l.Waits(seen) })
	if len(left) >= object.MaxDecided {
		return nil, errHalfWay
	}
	return left, nil
}

// lookAt reads a tag into seen, unless seen has it.
func (r repo) lookAt(ctx context.Context, tag string, seen map[string]*object.Entry) (err error) {
	if seen[tag] == nil && reference.CheckTag(tag) == nil {
		seen[tag], err = r.ReadEntry(ctx, r.TagKey(tag))
	}
	return err
}

// awaitDecided returns an error if the tag is the lead of a push that still has tags to move. A delete
// of the tag would remove the evidence by which others know the outcome of that push.
//
// Errors: errHalfWay.
func (r repo) awaitDecided(ctx context.Context, e *object.Entry) error {
	seen := map[string]*object.Entry{}
	for _, l := range e.Decided {
		if time.Since(l.Time) >= object.ClaimTime {
			continue
		}
		for _, tag := range l.Tags {
			if err := r.lookAt(ctx, tag, seen); err != nil {
				return err
			}
		}
		if l.Waits(seen) {
			return errHalfWay
		}
	}
	return nil
}

// claim names a push and its lead. A delete has neither; a push of one tag has no lead.
type claim struct{ push, lead string }

// giveWay deals with the pending moves of other pushes of several tags on a tag, known as e, before
// the tag is changed on a condition. leads has tags that were read after this one, and the lead of
// own, which must be replaced in the version that is there; giveWay adds to leads.
//
// Errors: errHalfWay if such a push is about to finish, so that the tag is about to change, or if
// another writer changed its lead at the same time.
func (r repo) giveWay(ctx context.Context, e *object.Entry, own claim, leads map[string]*object.Entry) error {
	for _, n := range e.Pending {
		if n.Push == "" || n.Push == own.push || reference.CheckTag(n.Lead) != nil { // no lead, most often
			continue
		}
		ofPush := func(o object.PendingMove) bool { return o.Push == n.Push }
		if err := r.lookAt(ctx, n.Lead, leads); err != nil {
			return err
		}
		lead := leads[n.Lead]
		switch {
		case lead.MovedBy(n.Push):
			if time.Since(lead.DecidedSince(n)) < object.ClaimTime {
				return errHalfWay
			}
		case n.Lead != own.lead && slices.ContainsFunc(lead.Pending, ofPush):
			taken, err := r.AbortMoves(ctx, n.Lead, lead, ofPush)
			if driver.IsConflict(err) {
				return errHalfWay
			} else if err != nil {
				return object.RegistryError(err)
			}
			leads[n.Lead] = taken
		}
	}
	return nil
}
