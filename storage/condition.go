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
// it, against the very version that the write replaces: when a pending move is added to entry.Next,
// and when the move is completed. So a pending move promises nothing to its push, and stops nobody:
// of several pushes that expect the same digest, the first that completes its move wins, and the
// others find another digest there. The model is internal/model/tags.pml, with COND.
//
// A push sets each tag once. It may have to begin again after that, since its manifest was deleted
// or collected meanwhile. Then entry.Moved says that the push has set the tag: others have at most
// moved it on. A tag that does not say so was deleted, by somebody who may have read what the push
// had set, and perhaps created again. To set it once more would undo the delete, and a success
// could be the second for one and the same condition. So the push ends with errUnknown.
//
// How several tags are set, all or none, is in lead.go.

// errUnknown is what a conditional push ends with that may have changed something, and cannot tell
// that it has set all its tags.
var errUnknown = registry.ErrUnavailable.
	WithMessage("whether the tags were set is not known: read them before you try again").
	WithCause(errors.New("storage: others have removed what a conditional push has written"))

// preconditionFailed is the refusal of a change of what ref names.
func preconditionFailed(ref reference.Ref) error {
	detail := map[string]string{"tag": ref.Tag}
	if ref.Tag == "" {
		detail = map[string]string{"digest": string(ref.Digest)}
	}
	return registry.ErrPreconditionFailed.WithDetail(detail)
}

// require returns an error unless a condition holds of a tag as e says. A tag whose manifest is
// gone is not there for readers, and so not for a condition that expects nothing there: dangling
// reports that the condition holds because of that.
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
	found := make([]*object.Entry, len(p.tags))
	err := parallel.Each(object.Parallelism, len(p.tags), func(i int) (err error) {
		t := p.tags[i]
		if t.If.IsZero() {
			return nil
		}
		if found[i], err = p.repo.ReadEntry(ctx, p.repo.TagKey(t.Name)); err != nil {
			return err
		}
		_, err = p.meets(ctx, t, found[i])
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

// meets returns an error unless the condition of a tag holds of it as now says. over reports that
// the push has set the tag, and somebody else has moved it on since, so that nothing is left to do.
//
// Errors: registry.ErrPreconditionFailed, errUnknown.
func (p *manifestPut) meets(ctx context.Context, put registry.TagPut, now *object.Entry) (over bool, err error) {
	if put.If.IsZero() {
		return false, nil
	}
	set, err := p.holds(ctx, put, now)
	if p.decided && errors.Is(err, registry.ErrPreconditionFailed) {
		err = errUnknown
	}
	return set && now.Descriptor.Digest != p.digest, err
}

// holds reports whether the push has set a tag, as now says. If it has not, holds returns an error
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
	// The write may have been done, and its answer lost. That a tag alone is not as expected any
	// more is said all the same: somebody else was first, most probably.
	if !failed || len(p.moves) > 1 {
		return false, errUnknown
	}
	return false, err
}

// meetsManifest returns an error unless the condition on the manifest holds of it as it is. Once
// this push has made it visible, the condition is met for good.
//
// Errors: registry.ErrPreconditionFailed.
func (p *manifestPut) meetsManifest(m *object.Manifest) error {
	if p.shown || p.cond.Holds("") && !m.Readable() || p.cond.Holds(p.digest) && m.Readable() {
		return nil
	}
	return preconditionFailed(reference.Ref{Digest: p.digest})
}

// hasSet reports whether a tag, which may be nil, says that the push has set it.
func (p *manifestPut) hasSet(put registry.TagPut, now *object.Entry) bool {
	if put.If.IsZero() || now == nil || !now.MovedBy(p.nonce) {
		return false
	}
	p.note(put)
	return true
}

// note notes that the push has set a tag that has a condition.
func (p *manifestPut) note(put registry.TagPut) {
	if !put.If.IsZero() {
		p.settings[put.Name].set = true
	}
}

// missed notes that a write which sets a tag was refused, since it is not as before says. It may
// have been done all the same: if its answer was lost, it was refused because of itself.
func (p *manifestPut) missed(put registry.TagPut, before *object.Entry) {
	if s := p.settings[put.Name]; s != nil && s.tried == nil && !put.If.IsZero() {
		s.tried = before
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
