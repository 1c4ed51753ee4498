package storage

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/internal/object"
)

// The condition of a tag (registry.TagPut.If) is checked again before each write that depends on
// it, against the version that the write replaces: when a pending move is added, and when it is
// completed. So a pending move guarantees its push nothing and blocks no other push. Of several
// pushes that expect the same digest, the first to complete its move wins; the others then find
// another digest. The model is internal/model/tags.pml, with COND.
//
// A push sets each tag once. It may have to start again after that, because its manifest was
// deleted or collected in between. Then Entry.Moved shows that the push has set the tag, and others
// have at most moved it on. If Entry.Moved does not show it, somebody deleted the tag, perhaps
// after reading what the push had set, and perhaps created it again. Setting it once more would
// undo the delete, and could be the second success for one condition. So the push ends with
// errUnknown.
//
// lead.go explains how a push sets several tags, all or none.

// errUnknown is returned by a conditional push that may have changed a tag and cannot know whether
// it has set all of them.
var errUnknown = registry.ErrUnavailable.
	WithMessage("whether the tags were set is not known: read them before you try again").
	WithCause(errors.New("storage: others have removed what a conditional push has written"))

// preconditionFailed returns the error of a change whose condition on ref does not hold.
func preconditionFailed(ref reference.Ref) error {
	detail := map[string]string{"tag": ref.Tag}
	if ref.Tag == "" {
		detail = map[string]string{"digest": string(ref.Digest)}
	}
	return registry.ErrPreconditionFailed.WithDetail(detail)
}

// require returns an error unless the condition c holds for a tag, known as e. Readers do not see a
// tag whose manifest is gone, so a condition that expects no tag holds for it; then dangling is
// true.
//
// Errors: registry.ErrPreconditionFailed.
func (r repo) require(ctx context.Context, tag string, c *registry.Condition, e *object.Entry) (dangling bool,
	err error) {
	d := e.Descriptor.Digest
	if c.Holds(d) {
		return false, nil
	}
	if d != "" && c.Holds("") {
		if m, err := r.ReadManifest(ctx, d); err != nil || !m.Readable() {
			return err == nil, err
		}
	}
	return false, preconditionFailed(reference.Ref{Tag: tag})
}

// requireDigest returns an error unless the condition c holds for a manifest or blob that exists.
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

// foresee refuses a push whose conditions do not hold before the push writes anything. It keeps the
// tags that it has read for the first attempt.
//
// Errors: registry.ErrPreconditionFailed.
func (p *manifestPut) foresee(ctx context.Context) error {
	if !p.conditional() {
		return nil
	}
	found := make([]*object.Entry, len(p.tags))
	err := parallel.Each(object.Parallelism, len(p.tags), func(i int) (err error) {
		t := p.tags[i]
		if t.If.IsZero() {
			return nil
		}
		if found[i], err = p.repo.ReadEntry(ctx, p.repo.TagKey(t.Name)); err != nil {
			return err
		}
		_, err = p.isFinished(ctx, t, found[i])
		return err
	})
	if err != nil {
		return err
	}
	p.foreseen = map[string]*object.Entry{}
	for i, t := range p.tags {
		if found[i] != nil {
			p.foreseen[t.Name] = found[i]
		}
	}
	return nil
}

// setting is what a push knows about a tag that it sets on a condition.
type setting struct {
	set      bool          // the push has set the tag
	tried    *object.Entry // the tag before a write that was refused, though it may have been done; or nil
	dangling bool          // the condition holds because the manifest is gone that the tag points at
}

// isFinished reports whether nothing is left to do for a tag, known as now: the push has set it,
// and another writer has moved it on since. Otherwise it returns an error unless the condition of
// the tag holds.
//
// Errors: registry.ErrPreconditionFailed, errUnknown.
func (p *manifestPut) isFinished(ctx context.Context, put registry.TagPut, now *object.Entry) (finished bool,
	err error) {
	if put.If.IsZero() {
		return false, nil
	}
	set, err := p.holds(ctx, put, now)
	if p.decided && errors.Is(err, registry.ErrPreconditionFailed) {
		err = errUnknown
	}
	return set && now.Descriptor.Digest != p.digest, err
}

// holds reports whether the push has set a tag, known as now. If it has not, holds returns an error
// unless the condition of the tag holds.
//
// Errors: registry.ErrPreconditionFailed, errUnknown.
func (p *manifestPut) holds(ctx context.Context, put registry.TagPut, now *object.Entry) (set bool, err error) {
	s := p.settings[put.Name]
	switch {
	case p.hasSet(put, now):
		return true, nil
	case s.set:
		return false, errUnknown
	}
	s.dangling, err = p.repo.require(ctx, put.Name, put.If, now)
	failed := errors.Is(err, registry.ErrPreconditionFailed)
	if s.tried == nil || err != nil && !failed {
		return false, err
	}
	if now.Continues(s.tried) {
		s.tried = nil
		return false, err
	}
	// The refused write may have happened, and its response was lost. With a single tag, the caller
	// nevertheless gets the error of a failed condition: most probably another writer came first.
	if !failed || len(p.moves) > 1 {
		return false, errUnknown
	}
	return false, err
}

// meetsManifest returns an error unless the condition on the manifest holds. Once this push has
// made the manifest visible, the condition has been met for good.
//
// Errors: registry.ErrPreconditionFailed.
func (p *manifestPut) meetsManifest(m *object.Manifest) error {
	if p.shown || p.cond.Holds("") && !m.Readable() || p.cond.Holds(p.digest) && m.Readable() {
		return nil
	}
	return preconditionFailed(reference.Ref{Digest: p.digest})
}

// hasSet reports whether a tag, known as now, shows that the push has set it. now may be nil.
func (p *manifestPut) hasSet(put registry.TagPut, now *object.Entry) bool {
	if put.If.IsZero() || now == nil || !now.MovedBy(p.nonce) {
		return false
	}
	p.note(put)
	return true
}

// note records that the push has set a tag, if the tag has a condition.
func (p *manifestPut) note(put registry.TagPut) {
	if !put.If.IsZero() {
		p.settings[put.Name].set = true
	}
}

// missed records that a write of a tag, known as before, was refused. The write may have happened
// nevertheless: if its response was lost and it was sent again, the storage refused it because of
// itself.
func (p *manifestPut) missed(put registry.TagPut, before *object.Entry) {
	if s := p.settings[put.Name]; s != nil && s.tried == nil && !put.If.IsZero() {
		s.tried = before
	}
}

// moved returns what a write that sets the tag adds to Entry.Moved.
func (p *manifestPut) moved(put registry.TagPut) []string {
	if put.If.IsZero() {
		return nil
	}
	return []string{p.nonce}
}

// inOrder calls f for each tag. If a tag has a condition, the calls are made one after the other,
// tags with a condition first and by name. So of two pushes that conflict on several tags, one gets
// all of them.
func (p *manifestPut) inOrder(f func(put registry.TagPut) error) error {
	if !p.conditional() {
		return parallel.Each(object.Parallelism, len(p.tags), func(i int) error { return f(p.tags[i]) })
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
