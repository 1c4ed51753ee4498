package storage

import (
	"context"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/internal/object"
)

// Restore implements [registry.Restorer].
func (s *Store) Restore(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.RestoreOptions) (registry.RestoreResult, error) {
	r := &restore{repo: s.repo(repo), opts: options.Value(opts)}
	if r.opts.SetTag == nil {
		r.opts.SetTag = func(*registry.TagPut) error { return nil }
	}
	if err := r.check(ref); err != nil {
		return registry.RestoreResult{}, err
	}
	ctx = context.WithoutCancel(ctx) // as any push
	if err := r.find(ctx); err != nil {
		return registry.RestoreResult{}, err
	}
	var err error
	switch {
	case ref.Tag != "":
		err = r.tag(ctx, ref.Tag)
	case ref.Digest != "":
		err = r.deleted(ctx, ref.Digest)
	default:
		err = r.repository(ctx)
	}
	return r.result, err
}

// restore is one Restore.
type restore struct {
	repo    repo
	opts    registry.RestoreOptions
	gone    map[digest.Digest][]*object.Event // the deletes of each manifest, the newest first
	deletes []*object.Event                   // of manifests, the newest first
	repos   []*object.Event                   // of the repository, the newest first
	result  registry.RestoreResult
}

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

// find lists the deletes.
func (r *restore) find(ctx context.Context) error {
	r.gone = map[digest.Digest][]*object.Event{}
	for e, err := range r.repo.Events(ctx, nil) {
		if err != nil {
			return err
		}
		switch e.Kind {
		case object.EventDelete:
			r.deletes = append(r.deletes, e)
			r.gone[e.Digest()] = append(r.gone[e.Digest()], e)
		case object.EventRepository:
			r.repos = append(r.repos, e)
		}
	}
	return nil
}

// lastGone returns the newest delete of a manifest; nil if there is none.
func (r *restore) lastGone(d digest.Digest) *object.Event {
	if len(r.gone[d]) == 0 {
		return nil
	}
	return r.gone[d][0]
}

// tagsOf returns the tags that went with the manifest of a delete, whoever of those that have gone
// on with it has removed them.
func (r *restore) tagsOf(ctx context.Context, e *object.Event) ([]string, error) {
	tags := slices.Clone(e.Tags)
	for _, other := range r.gone[e.Digest()] {
		if other == e || e.Delete == "" {
			continue
		}
		ok, err := r.repo.ReadEvent(ctx, other)
		if err != nil {
			return nil, err
		}
		if other.Content = nil; ok && other.Delete == e.Delete {
			tags = append(tags, other.Tags...)
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags), nil
}

// tag points a tag at what it pointed at before, or at Options.To.
func (r *restore) tag(ctx context.Context, tag string) error {
	t := registry.TagPut{Name: tag}
	if err := r.opts.SetTag(&t); err != nil {
		return err
	}
	to := r.opts.To
	if to == "" {
		var err error
		if to, err = r.before(ctx, tag); err != nil {
			return err
		}
	}
	m, err := r.repo.ReadManifest(ctx, to)
	if err != nil {
		return err
	}
	mediaType, content := m.MediaType, m.Content
	if !m.Readable() {
		e := r.lastGone(to)
		if e == nil {
			return manifestUnknown(reference.Ref{Digest: to})
		}
		if ok, err := r.repo.ReadEvent(ctx, e); err != nil {
			return err
		} else if !ok || e.Before == nil {
			return manifestUnknown(reference.Ref{Digest: to})
		}
		mediaType, content = e.Before.MediaType, e.Content
	}
	res, err := r.push(ctx, to, mediaType, content, t)
	if err != nil {
		return err
	}
	r.result.Manifests = append(r.result.Manifests, res)
	return nil
}

// before returns what a tag pointed at before it came to be as it is.
func (r *restore) before(ctx context.Context, tag string) (digest.Digest, error) {
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

// deleted brings a manifest back.
func (r *restore) deleted(ctx context.Context, d digest.Digest) error {
	e := r.lastGone(d)
	if e == nil {
		return manifestUnknown(reference.Ref{Digest: d})
	}
	return r.bring(ctx, e)
}

// bring brings back the manifest of an event, and its tags where there are none by now.
func (r *restore) bring(ctx context.Context, e *object.Event) error {
	d := e.Digest()
	if ok, err := r.repo.ReadEvent(ctx, e); err != nil {
		return err
	} else if !ok || e.Before == nil {
		return manifestUnknown(reference.Ref{Digest: d})
	}
	res, err := r.push(ctx, d, e.Before.MediaType, e.Content)
	if err != nil {
		return err
	}
	tags, err := r.tagsOf(ctx, e)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		t := registry.TagPut{Name: tag}
		if r.opts.SetTag(&t) != nil {
			continue
		}
		t.IfAbsent = true
		_, err := r.push(ctx, d, e.Before.MediaType, e.Content, t)
		if errors.Is(err, registry.ErrTagExists) || errors.Is(err, registry.ErrPreconditionFailed) {
			continue
		}
		if err != nil {
			return err
		}
		res.Tags = append(res.Tags, tag)
	}
	r.result.Manifests = append(r.result.Manifests, res)
	return nil
}

// repository brings back what the last delete of the repository took that took anything: two may
// have run at the same time, one of them by a collector.
func (r *restore) repository(ctx context.Context) error {
	for len(r.repos) > 0 {
		groups, err := r.lastDelete(ctx)
		if err != nil {
			return err
		}
		if err := r.groups(ctx, groups); err != nil {
			return err
		}
		switch {
		case len(r.result.Manifests) > 0:
			return nil
		case len(r.result.Lost) > 0:
			return registry.ErrManifestBlobUnknown.WithMessage("what the manifests name has been collected").WithDetail(
				r.result.Lost)
		}
	}
	return registry.ErrNameUnknown.WithDetail(map[string]string{"name": r.repo.Name})
}

// lastDelete takes the last delete of the repository off repos: those before it that died half-way,
// or that it went on with, are parts of it.
func (r *restore) lastDelete(ctx context.Context) (groups []string, err error) {
	for len(r.repos) > 0 {
		e := r.repos[0]
		ok, err := r.repo.ReadEvent(ctx, e)
		if err != nil {
			return nil, err
		}
		if ok && e.Confirmed && len(groups) > 0 && !slices.Contains(groups, e.ID) && !slices.Contains(groups, e.Group) {
			break
		}
		if r.repos = r.repos[1:]; ok {
			groups = append(groups, e.ID)
			if e.Group != "" {
				groups = append(groups, e.Group)
			}
		}
	}
	return groups, nil
}

// groups brings back the manifests that were deleted with some deletes of the repository.
func (r *restore) groups(ctx context.Context, groups []string) error {
	for _, e := range r.deletes {
		if ok, err := r.repo.ReadEvent(ctx, e); err != nil {
			return err
		} else if !ok || !slices.Contains(groups, e.Group) {
			e.Content = nil
			continue
		}
		err := r.bring(ctx, e)
		e.Content = nil // not all of them at once
		switch {
		case errors.Is(err, registry.ErrManifestBlobUnknown):
			r.result.Lost = append(r.result.Lost, e.Digest())
		case err != nil:
			return err
		}
	}
	return nil
}

// push pushes a manifest that was there before. Manifests that it names are brought back with it,
// without their tags.
func (r *restore) push(ctx context.Context, d digest.Digest, mediaType string, content []byte,
	tags ...registry.TagPut) (registry.PutResult, error) {
	p, err := r.repo.store.newManifestPut(r.repo.Name, mediaType, content, &registry.PutOptions{Digest: d, Tags: tags, By: r.opts.By})
	if err != nil {
		return registry.PutResult{}, err
	}
	p.unhide, p.anySize, p.accepted = true, true, true
	res, err := p.put(ctx)
	var e *registry.Error
	if !errors.As(err, &e) || !errors.Is(e, registry.ErrManifestBlobUnknown) {
		return res, err
	}
	missing, _ := e.Detail().([]digest.Digest)
	for _, d := range missing {
		child := r.lastGone(d)
		if child == nil {
			return res, err
		}
		if ok, rerr := r.repo.ReadEvent(ctx, child); rerr != nil {
			return res, rerr
		} else if !ok || child.Before == nil {
			return res, err
		}
		if _, cerr := r.push(ctx, d, child.Before.MediaType, child.Content); cerr != nil {
			return res, cerr
		}
	}
	return p.put(ctx)
}

// unhide makes a link live again that a delete of the repository has hidden, for a manifest that is
// pending there, and returns it. Its data need no look, as those of a link that is condemned need
// none: it has named them ever since it was live. A collector that found them named has left a mark
// on them, which stays and means nothing.
//
// Errors: errMissing if there is no such link.
func (r repo) unhide(ctx context.Context, d digest.Digest) (*object.Link, error) {
	var err error
	for range object.Attempts(ctx, &err) {
		l, err := r.ReadLink(ctx, d)
		if err != nil {
			return nil, err
		}
		switch {
		case l.Readable():
			return r.KeepLink(ctx, d)
		case l.State != object.Hidden:
			return nil, object.ErrMissing
		}
		if l, err = r.SetLink(ctx, d, l, object.Live); object.IsConflict(err) {
			continue
		} else if err != nil {
			return nil, object.RegistryError(err)
		}
		r.IndexBlob(ctx, d)
		return l, nil
	}
	return nil, err
}
