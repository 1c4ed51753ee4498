package storage

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/internal/object"
)

// Restore implements [registry.Restorer]. A restore is a push of what the events hold, so it is
// refused like a push if a collection has removed what a manifest names.
func (s *Store) Restore(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.RestoreOptions) (registry.RestoreResult, error) {
	r := &restore{
		repo: s.repo(repo), opts: options.Value(opts), deletesOf: map[digest.Digest][]*object.Event{},
		noted: map[digest.Digest]int{},
	}
	if r.opts.SetTag == nil {
		r.opts.SetTag = func(*registry.TagPut) error { return nil }
	}
	if err := r.check(ref); err != nil {
		return registry.RestoreResult{}, err
	}
	ctx = context.WithoutCancel(ctx) // as in a push
	if err := r.listDeletes(ctx); err != nil {
		return registry.RestoreResult{}, err
	}
	var err error
	switch {
	case ref.Tag != "":
		err = r.restoreTag(ctx, ref.Tag)
	case ref.Digest != "":
		err = r.restoreManifest(ctx, ref.Digest)
	default:
		err = r.restoreRepository(ctx)
	}
	for _, res := range r.children {
		r.note(res)
	}
	return r.result, err
}

// restore is one call of Restore.
type restore struct {
	repo      repo
	opts      registry.RestoreOptions
	deletes   []*object.Event                   // deletes of manifests, the newest first
	deletesOf map[digest.Digest][]*object.Event // the same, by manifest
	ofRepo    []*object.Event                   // deletes of the repository, the newest first
	result    registry.RestoreResult
	noted     map[digest.Digest]int // the indexes in result.Manifests
	children  []registry.PutResult  // manifests that were restored because others name them
}

// note adds what a push has done to the result, in which each manifest occurs once.
func (r *restore) note(res registry.PutResult) {
	i, noted := r.noted[res.Descriptor.Digest]
	if !noted {
		r.noted[res.Descriptor.Digest] = len(r.result.Manifests)
		r.result.Manifests = append(r.result.Manifests, res)
		return
	}
	m := &r.result.Manifests[i]
	m.Tags, m.Moved = append(m.Tags, res.Tags...), append(m.Moved, res.Moved...)
}

// check checks the names, and that history is kept.
func (r *restore) check(ref reference.Ref) error {
	if err := registry.CheckName(r.repo.Name); err != nil {
		return err
	}
	if ref != (reference.Ref{}) {
		if err := checkRef(r.repo.Name, ref); err != nil {
			return err
		}
	}
	if r.opts.To != "" {
		if err := checkBlob(r.repo.Name, r.opts.To); err != nil {
			return err
		}
	}
	if r.repo.store.opts.History == 0 {
		return errNoHistory
	}
	return nil
}

// listDeletes lists the events of deletes. It does not read them.
func (r *restore) listDeletes(ctx context.Context) error {
	for e, err := range r.repo.Events(ctx, nil) {
		if err != nil {
			return err
		}
		switch e.Kind {
		case object.EventDelete:
			r.deletes = append(r.deletes, e)
			r.deletesOf[e.Digest()] = append(r.deletesOf[e.Digest()], e)
		case object.EventRepository:
			r.ofRepo = append(r.ofRepo, e)
		}
	}
	return nil
}

// lastDeleteOf returns the newest delete of a manifest, or nil if there is none.
func (r *restore) lastDeleteOf(d digest.Digest) *object.Event {
	if len(r.deletesOf[d]) == 0 {
		return nil
	}
	return r.deletesOf[d][0]
}

// readDeleted reads the manifest that the event of a delete holds into e. It reports false if the
// event is gone or cut short, or holds no manifest.
func (r *restore) readDeleted(ctx context.Context, e *object.Event) (bool, error) {
	ok, err := r.repo.ReadEvent(ctx, e)
	return ok && e.Before != nil, err
}

// restoreTag points a tag at Options.To, or at what it pointed at before.
func (r *restore) restoreTag(ctx context.Context, tag string) error {
	t := registry.TagPut{Name: tag}
	if err := r.opts.SetTag(&t); err != nil {
		return err
	}
	to := r.opts.To
	if to == "" {
		var err error
		if to, err = r.previousTarget(ctx, tag); err != nil {
			return err
		}
	}
	m, err := r.manifest(ctx, to)
	if err != nil {
		return err
	}
	if t.Time.IsZero() {
		if t.Time, err = r.deletedTagTime(ctx, tag, to); err != nil {
			return err
		}
	}
	res, err := r.push(ctx, m, t)
	if err != nil {
		return err
	}
	r.note(res)
	return nil
}

// previousTarget returns what a tag pointed at before it got its present target.
//
// Errors: registry.ErrManifestUnknown if the history does not show it.
func (r *restore) previousTarget(ctx context.Context, tag string) (digest.Digest, error) {
	now, err := r.repo.ReadEntry(ctx, r.repo.TagKey(tag))
	if err != nil {
		return "", err
	}
	for e, err := range r.repo.TagEvents(ctx, tag, nil) {
		if err != nil {
			return "", err
		}
		if e.Before != nil && e.Before.Digest != now.Descriptor.Digest {
			return e.Before.Digest, nil
		}
	}
	return "", manifestUnknown(reference.Ref{Tag: tag})
}

// deletedTagTime returns when a tag that does not exist had been set to the manifest d before it was
// deleted. It returns the zero time if the tag exists, or did not point at d: then the restore sets
// the tag now. A restored tag keeps its age, because otherwise it would push tags out of what a
// retention rule keeps as the newest.
func (r *restore) deletedTagTime(ctx context.Context, tag string, d digest.Digest) (time.Time, error) {
	now, err := r.repo.ReadEntry(ctx, r.repo.TagKey(tag))
	if err != nil || now.Descriptor.Digest != "" {
		return time.Time{}, err
	}
	for e, err := range r.repo.TagEvents(ctx, tag, nil) {
		switch {
		case err != nil:
			return time.Time{}, err
		case e.After != nil:
			return time.Time{}, nil
		case e.Before == nil || e.Before.Digest != d:
			continue
		}
		if set := e.SetTime(tag); !set.IsZero() || e.Confirmed {
			return set, nil
		}
	}
	return time.Time{}, nil
}

// manifest returns a manifest of the repository, or else as its last delete has kept it.
//
// Errors: registry.ErrManifestUnknown.
func (r *restore) manifest(ctx context.Context, d digest.Digest) (restorable, error) {
	m, err := r.repo.ReadManifest(ctx, d)
	if err != nil {
		return restorable{}, err
	}
	if m.Readable() {
		return restorable{d, m.MediaType, m.Content, m.Sparse}, nil
	}
	e := r.lastDeleteOf(d)
	if e == nil {
		return restorable{}, manifestUnknown(reference.Ref{Digest: d})
	}
	if ok, err := r.readDeleted(ctx, e); err != nil {
		return restorable{}, err
	} else if !ok {
		return restorable{}, manifestUnknown(reference.Ref{Digest: d})
	}
	return deletedManifest(e), nil
}

// restoreManifest restores a deleted manifest and its tags.
func (r *restore) restoreManifest(ctx context.Context, d digest.Digest) error {
	e := r.lastDeleteOf(d)
	if e == nil {
		return manifestUnknown(reference.Ref{Digest: d})
	}
	return r.restoreDeleted(ctx, e)
}

// restoreDeleted restores the manifest of the event of a delete, and those of its tags that do not
// exist now.
func (r *restore) restoreDeleted(ctx context.Context, e *object.Event) error {
	d := e.Digest()
	if ok, err := r.readDeleted(ctx, e); err != nil {
		return err
	} else if !ok {
		return manifestUnknown(reference.Ref{Digest: d})
	}
	res, err := r.push(ctx, deletedManifest(e))
	if err != nil {
		return err
	}
	r.note(res)
	tags, err := r.tagsOf(ctx, e)
	if err != nil {
		return err
	}
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		t := registry.TagPut{Name: tag}
		if r.opts.SetTag(&t) != nil {
			continue
		}
		t.IfAbsent = true
		if t.Time.IsZero() {
			t.Time = tags[tag]
		}
		res, err := r.push(ctx, deletedManifest(e), t)
		if errors.Is(err, registry.ErrTagExists) || errors.Is(err, registry.ErrPreconditionFailed) {
			continue
		}
		if err != nil {
			return err
		}
		r.note(res)
	}
	return nil
}

// tagsOf returns the tags that a delete has removed with its manifest, and when each had been set.
// Several processes may have continued one delete; the event of each has the tags that it has removed
// itself.
func (r *restore) tagsOf(ctx context.Context, e *object.Event) (map[string]time.Time, error) {
	tags := map[string]time.Time{}
	for _, tag := range e.Tags {
		tags[tag] = e.SetTime(tag)
	}
	for _, other := range r.deletesOf[e.Digest()] {
		if other == e || e.Delete == "" {
			continue
		}
		ok, err := r.repo.ReadEvent(ctx, other)
		if err != nil {
			return nil, err
		}
		other.Content = nil // so that only one manifest is in memory
		if !ok || other.Delete != e.Delete {
			continue
		}
		for _, tag := range other.Tags {
			tags[tag] = other.SetTime(tag)
		}
	}
	return tags, nil
}

// restoreRepository restores what the last delete of the repository has removed. A delete that has
// removed nothing does not count: two deletes may have run at the same time, one of them in a
// collection.
//
// Errors: registry.ErrManifestBlobUnknown if collections have removed what each of the manifests
// names; registry.ErrNameUnknown if there is nothing to restore.
func (r *restore) restoreRepository(ctx context.Context) error {
	for len(r.ofRepo) > 0 {
		groups, err := r.takeLastDelete(ctx)
		if err != nil {
			return err
		}
		if err := r.restoreGroups(ctx, groups); err != nil {
			return err
		}
		switch {
		case len(r.result.Manifests) > 0:
			return nil
		case len(r.result.Lost) > 0:
			return registry.ErrManifestBlobUnknown.WithMessage(
				"a garbage collection has removed what the manifests name").WithDetail(r.result.Lost)
		}
	}
	return registry.ErrNameUnknown.WithDetail(map[string]string{"name": r.repo.Name})
}

// takeLastDelete takes the last delete of the repository off r.ofRepo, and returns the groups of
// its events. Earlier deletes are a part of it if it continued them, or if they were not completed.
func (r *restore) takeLastDelete(ctx context.Context) (groups []string, err error) {
	for len(r.ofRepo) > 0 {
		e := r.ofRepo[0]
		ok, err := r.repo.ReadEvent(ctx, e)
		if err != nil {
			return nil, err
		}
		if ok && e.Confirmed && len(groups) > 0 && !slices.Contains(groups, e.ID) && !slices.Contains(groups, e.Group) {
			break
		}
		if r.ofRepo = r.ofRepo[1:]; ok {
			groups = append(groups, e.ID)
			if e.Group != "" {
				groups = append(groups, e.Group)
			}
		}
	}
	return groups, nil
}

// restoreGroups restores the manifests whose deletes belong to one of groups. A manifest of which a
// collection has removed a part is added to the result as lost.
func (r *restore) restoreGroups(ctx context.Context, groups []string) error {
	for _, e := range r.deletes {
		if ok, err := r.repo.ReadEvent(ctx, e); err != nil {
			return err
		} else if !ok || !slices.Contains(groups, e.Group) {
			e.Content = nil
			continue
		}
		err := r.restoreDeleted(ctx, e)
		e.Content = nil // so that not all manifests are in memory at once
		switch {
		case errors.Is(err, registry.ErrManifestBlobUnknown):
			r.result.Lost = append(r.result.Lost, e.Digest())
		case err != nil:
			return err
		}
	}
	return nil
}
