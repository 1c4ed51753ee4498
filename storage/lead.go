package storage

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/internal/object"
)

// A push that sets several tags on a condition moves all of them or none. The first of its moves
// decides: it is the lead. A push that has completed its lead completes the others; before that, it
// has moved nothing. Whoever is about to change tags on a condition looks, with its own pending
// moves in place, for those of such pushes on the same tags: it waits for a push that has completed
// its lead, and takes the lead of another one back, which then begins again. Changes without a
// condition wait for nobody: they count as later than the push that they overtake. The model is
// internal/model/leads.pml.
//
// A conditional change takes the pending moves of all other conditional pushes off the tag, in the
// same write. So pushes with the same lead need not look at each other. And a push that has
// completed its lead and finds another tag changed can tell by its own pending move: if that is
// still there, the change had no condition. If it is not, the outcome is unknown: somebody has
// waited for too long, or has deleted the lead, or the pending move.

// errHalfWay is returned when another push is on its way to the end, or has just been sent back, so
// that a conditional change must look again.
var errHalfWay = errors.New("storage: another push of the tag is half-way")

// pendingMove is what entry.Next says of a move that begins. The first move of a tag with a
// condition leads the others.
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

// mayMove looks whether a pending move still meets its condition. over reports that there is
// nothing to move any more: the push has moved the tag and lost the answer, or a change without a
// condition has come after the lead.
//
// Errors: registry.ErrPreconditionFailed, errUnknown.
func (p *manifestPut) mayMove(ctx context.Context, m *tagMove) (over bool, err error) {
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
	// If the tag changes meanwhile, the pending move is left to the collector.
	_, _ = p.repo.AbortMoves(ctx, m.put.Name, m.now, m.is)
	return true, nil
}

// noteMove notes that the push has moved a tag. Tags without a condition may be moved at once.
func (p *manifestPut) noteMove(put registry.TagPut) {
	if put.If.IsZero() {
		return
	}
	p.note(put)
	if p.decided = true; p.leadTag == "" {
		p.leadTag = put.Name
	}
}

// moveInOrder is move for a push that has tags with a condition: the lead goes first. Until it has
// moved, the push waits for others with its pending moves in place.
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

// moveEach moves the tags, one after the other.
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

// ready reports whether the push may complete its lead: each of its pending moves is in place, and
// no other push is on its way to the end at one of their tags.
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
		if over, err := p.mayMove(ctx, m); over || err != nil {
			return over, err // the lead has been moved, and the answer was lost
		}
		if !slices.ContainsFunc(now.Pending, m.is) || time.Since(m.pending.Time) > object.ClaimTime/2 {
			return false, nil
		}
	}
	// A push with the same lead that decides from now on takes the pending move off it.
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

// mayDecide is the last look before a move of a tag with a condition. ok is false if the push must
// begin again.
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

// conditionalMove returns what the move of a tag with a condition replaces, and what it writes.
//
// Errors: errHalfWay.
func (p *manifestPut) conditionalMove(ctx context.Context, m *tagMove) (e *object.Entry, to object.Entry, err error) {
	e = m.now
	if p.settings[m.put.Name].dangling {
		// The tag that readers do not find ends here. A push that has set it cannot tell whether it
		// was there for anybody.
		e = &object.Entry{Version: e.Version}
	}
	to = object.Entry{
		Descriptor: p.descriptor(), Moved: p.moved(m.put),
		Pending: m.now.PendingWithout(func(n object.PendingMove) bool { return m.is(n) || n.Push != "" && n.Push != p.nonce }),
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
	to.Led, err = p.stillLed(ctx, e)
	to.Led = append(to.Led, object.LedPush{Push: p.nonce, Time: time.Now().UTC(), Tags: others})
	return e, to, err
}

// stillLed is what entry.Led says of the lead, but for pushes that have come to the end, as far as
// they are known, or have most probably died.
//
// Errors: errHalfWay if there are too many.
func (p *manifestPut) stillLed(ctx context.Context, e *object.Entry) ([]object.LedPush, error) {
	seen := map[string]*object.Entry{}
	for _, m := range p.moves {
		if m.now != nil {
			seen[m.put.Name] = m.now
		}
	}
	left := slices.DeleteFunc(slices.Clone(e.Led), func(l object.LedPush) bool {
		return time.Since(l.Time) > 2*object.ClaimTime || !l.Waits(seen)
	})
	if len(left) < object.MaxLed {
		return left, nil
	}
	for _, l := range left {
		for _, tag := range l.Tags {
			if err := p.repo.lookAt(ctx, tag, seen); err != nil {
				return nil, err
			}
		}
	}
	left = slices.DeleteFunc(left, func(l object.LedPush) bool { return !l.Waits(seen) })
	if len(left) >= object.MaxLed {
		return nil, errHalfWay
	}
	return left, nil
}

// lookAt reads a tag, unless seen has it.
func (r repo) lookAt(ctx context.Context, tag string, seen map[string]*object.Entry) (err error) {
	if seen[tag] == nil && reference.CheckTag(tag) == nil {
		seen[tag], err = r.ReadEntry(ctx, r.TagKey(tag))
	}
	return err
}

// awaitLed returns an error if the tag has decided a push that still has tags to move. Who deletes
// it now would take away how others can tell.
//
// Errors: errHalfWay.
func (r repo) awaitLed(ctx context.Context, e *object.Entry) error {
	seen := map[string]*object.Entry{}
	for _, l := range e.Led {
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

// claim names a push and its lead. Both are "" of a delete, and lead of a push of one tag.
type claim struct{ push, lead string }

// giveWay sees to the pending moves on a tag that belong to pushes of several tags, other than own,
// before the tag is changed on a condition. leads are tags that were read after this one, and the
// lead of own, which must be replaced in the version that is there; giveWay adds to them.
//
// Errors: errHalfWay if one of them is on its way to the end, so that the tag is about to be
// another, or was found to be on its way and sent back.
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
			if time.Since(lead.LedSince(n)) < object.ClaimTime {
				return errHalfWay
			}
		case n.Lead != own.lead && slices.ContainsFunc(lead.Pending, ofPush):
			taken, err := r.AbortMoves(ctx, n.Lead, lead, ofPush)
			if object.IsConflict(err) {
				return errHalfWay
			} else if err != nil {
				return object.RegistryError(err)
			}
			leads[n.Lead] = taken
		}
	}
	return nil
}
