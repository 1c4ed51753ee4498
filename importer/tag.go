package importer

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/subjecttag"
	"github.com/registrykit/registry/reference"
)

// importing is the name of the importer in the history of the destination.
const importing = "import"

// prepareTag imports everything that a tag leads to, except for the manifest itself. It returns nil if
// nothing is to be done: the tag has not moved, or its image is damaged, which is reported.
func (r *repository) prepareTag(ctx context.Context, name string) (*tag, error) {
	d, set, err := readLink(ctx, r.src, tagPath(r.name, name))
	if err != nil {
		return nil, r.skipTag(err, name, "")
	}
	if now := time.Now(); set.After(now) {
		set = now
	}
	t := &tag{name: name, digest: d, set: set}
	if r.record.isUnchanged(t) {
		r.report.count(func(rep *Report) { rep.Tags.Unchanged++ })
		return nil, nil
	}
	if _, err := r.prepare(ctx, d, 0); err != nil {
		return nil, r.skipTag(err, name, d)
	}
	if err := r.checkSubjects(ctx, t); err != nil {
		return nil, err
	}
	return t, nil
}

func (r *repository) skipTag(err error, name string, d digest.Digest) error {
	if err = r.skip(err, Problem{Tag: name, Digest: d}); err == nil {
		r.report.count(func(rep *Report) { rep.Tags.Skipped++ })
	}
	return err
}

// setTag stores the manifest of a tag that was prepared, and points the tag at it, if the destination
// still has what the last Run has left there.
func (r *repository) setTag(ctx context.Context, t *tag) error {
	now := r.record.announcedTag(t.name)
	var conditions []*registry.Condition
	if now.fresh {
		conditions = append(conditions, &registry.Condition{NoneMatch: []digest.Digest{registry.AnyDigest}})
	}
	if len(now.was) > 0 {
		pushed, err := r.pushedSince(ctx, t.name)
		if err != nil {
			return err
		}
		if !pushed {
			conditions = append(conditions, &registry.Condition{Match: now.was})
		}
	}
	for _, c := range conditions {
		err := r.putTag(ctx, t, c)
		switch {
		case errors.Is(err, registry.ErrPreconditionFailed):
			continue
		case err != nil:
			r.record.forget(t.name)
			return r.skipTag(err, t.name, t.digest)
		}
		moved := len(c.Match) > 0
		r.report.count(func(rep *Report) {
			if moved {
				rep.Tags.Moved++
			} else {
				rep.Tags.Set++
			}
		})
		return nil
	}
	return r.differs(ctx, t)
}

// putTag stores the manifest of a tag and points the tag at it. In a dry run, it only has the result of
// the condition.
func (r *repository) putTag(ctx context.Context, t *tag, c *registry.Condition) error {
	if r.opts.DryRun {
		current, err := r.current(ctx, t.name)
		switch {
		case err != nil:
			return err
		case !c.Holds(current):
			return registry.ErrPreconditionFailed
		}
	}
	return r.put(ctx, t.digest, registry.TagPut{Name: t.name, Time: t.set, If: c})
}

// differs handles a tag of which the destination has something that the importer did not write.
func (r *repository) differs(ctx context.Context, t *tag) error {
	current, err := r.current(ctx, t.name)
	switch {
	case err != nil:
		return err
	case current == t.digest:
		r.report.count(func(rep *Report) { rep.Tags.Unchanged++ })
		return nil
	}
	r.record.forget(t.name)
	r.report.count(func(rep *Report) { rep.Tags.Kept++ })
	r.report.problem(Problem{Kind: ProblemKept, Repository: r.name, Tag: t.name, Digest: t.digest,
		Message: "the destination has changed the tag, too, and keeps it as it is"})
	return nil
}

// current returns the digest that a tag has at the destination, or "" if it does not exist.
func (r *repository) current(ctx context.Context, name string) (digest.Digest, error) {
	desc, err := r.store.StatManifest(ctx, r.name, reference.Ref{Tag: name}, nil)
	if errors.Is(err, registry.ErrManifestUnknown) || errors.Is(err, registry.ErrNameUnknown) {
		return "", nil
	}
	return desc.Digest, err
}

// pushedSince reports whether somebody has set the tag at the destination after the last Run did, even
// to the same manifest.
func (r *repository) pushedSince(ctx context.Context, name string) (bool, error) {
	old, ok := r.record.before(name)
	if !ok || old.announced {
		return false, nil // it is not known when the tag was set
	}
	set, ok, err := r.setTime(ctx, name)
	return ok && set.UnixNano() != old.set, err
}

// setTime returns when a tag of the destination was set. It reads the times of all tags of the repository
// at once.
func (r *repository) setTime(ctx context.Context, name string) (set time.Time, ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sets == nil {
		sets := map[string]time.Time{}
		for t, err := range r.store.Inventory().Tags(ctx, r.name) {
			if err != nil {
				return set, false, err
			}
			sets[t.Name] = t.Set
		}
		r.sets = sets
	}
	set, ok = r.sets[name]
	return set, ok, nil
}

// checkSubjects reports the manifests that a fallback tag of referrers lists although they have no
// subject.
func (r *repository) checkSubjects(ctx context.Context, t *tag) error {
	if _, suffix, ok := subjecttag.Parse(t.name); !ok || suffix != "" {
		return nil
	}
	for _, child := range r.stateOf(t.digest).now().children {
		if c := r.stateOf(child).now(); !c.prepared || c.subject != "" || c.known {
			continue
		}
		r.report.problem(Problem{Kind: ProblemSubject, Repository: r.name, Tag: t.name, Digest: child,
			Message: "listed as a referrer, but the manifest has no subject, so the referrers API does not list it"})
	}
	return ctx.Err()
}
