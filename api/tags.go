package api

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
)

// tagRoutes are the routes of the part tags.
func (a *API) tagRoutes() []route {
	const tags, tag = "/v1/repositories/{repository}/tags", "/v1/repositories/{repository}/tags/{tag}"
	return []route{
		{method: "GET", path: tags, access: onRepository(auth.Pull), handle: a.listTags},
		{method: "GET", path: tag, access: onTag(auth.Pull), handle: a.getTag},
		// The manifest is read by its digest and pushed again with the tag.
		{method: "PUT", path: tag, access: all(onRepository(auth.Pull), onRepository(auth.Push), onTag(auth.Push)),
			handle: a.putTag},
		{method: "DELETE", path: tag, access: onTag(auth.Delete), conditional: true, handle: a.deleteTag},
	}
}

// onTag is the access for an action on the tag in the path.
func onTag(action auth.Action) access {
	return func(q *request) ([]auth.Access, error) {
		accesses, err := onRepository(action)(q)
		if err != nil {
			return nil, err
		}
		accesses[0].Tag = q.param("tag")
		return accesses, registry.CheckTag(accesses[0].Tag)
	}
}

// listedTag returns a tag that the caller may see. It reads the record of the tag if it can. The
// Backend could be a mirror, which asks its upstream about each tag.
//
// Errors: registry.ErrManifestUnknown.
func (a *API) listedTag(q *request, name string) (types.Tag, error) {
	repo := q.param("repository")
	if a.opts.Tags != nil {
		stored, err := a.opts.Tags.Tag(q.Context(), repo, name)
		if err == nil {
			t := tagOf(name, stored.Descriptor)
			t.Set = instant(stored.Set)
			return t, nil
		}
		if !errors.Is(err, registry.ErrManifestUnknown) {
			return types.Tag{}, err
		}
	}
	d, err := q.caller.StatListed(q.Context(), repo, name)
	if err != nil {
		return types.Tag{}, err
	}
	return tagOf(name, d), nil
}

// tagOf returns a tag that points at a manifest.
func tagOf(name string, d ocispec.Descriptor) types.Tag {
	return types.Tag{Name: name, Digest: d.Digest.String(), MediaType: d.MediaType, Size: d.Size}
}

// foundTag returns the response with a tag that points at a manifest.
func (a *API) foundTag(q *request, d ocispec.Descriptor) (*response, error) {
	t := tagOf(q.param("tag"), d)
	if a.opts.Tags != nil {
		stored, err := a.opts.Tags.Tag(q.Context(), q.param("repository"), t.Name)
		switch {
		case err == nil && stored.Descriptor.Digest == d.Digest:
			t.Set = instant(stored.Set)
		case err != nil && !errors.Is(err, registry.ErrManifestUnknown):
			return nil, err
		}
	}
	pulls, err := a.pullTimes(q.Context(), q.param("repository"))
	t.Pulled = lastPullOf(pulls, &t)
	return &response{body: t, tagged: true, version: d.Digest}, err
}

func (a *API) getTag(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	ref := reference.Ref{Tag: q.param("tag")}
	d, err := q.caller.Backend().StatManifest(q.Context(), q.param("repository"), ref, nil)
	if err != nil {
		return nil, err
	}
	return a.foundTag(q, d)
}

// setTag points a tag at a manifest of the repository. It pushes the manifest again with the tag,
// so that the tag has the same rules, conditions and events as in a push by a client.
func setTag(ctx context.Context, b registry.Backend, repo, tag string, m *registry.Manifest,
	cond *registry.Condition) error {
	_, err := b.PutManifest(ctx, repo, m.Descriptor.MediaType, m.Content, &registry.PutOptions{
		Digest: m.Descriptor.Digest, AcceptWrongSizes: true, Tags: []registry.TagPut{{Name: tag, If: cond}},
	})
	return err
}

func (a *API) putTag(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	cond, err := q.condition()
	switch {
	case err != nil:
		return nil, err
	case cond == nil:
		return nil, errNoCondition.WithMessage("a header is required: If-Match with the ETag of the tag, or \"*\"; " +
			"or If-None-Match")
	}
	var put types.TagPut
	if err := q.decode(&put); err != nil {
		return nil, err
	}
	d := digest.Digest(put.Digest)
	if err := registry.CheckDigest(d); err != nil {
		return nil, err
	}
	repo, b := q.param("repository"), q.caller.Backend()
	m, err := b.GetManifest(q.Context(), repo, reference.Ref{Digest: d})
	if err != nil {
		return nil, err
	}
	if err := setTag(q.Context(), b, repo, q.param("tag"), m, cond); err != nil {
		return nil, err
	}
	return a.foundTag(q, m.Descriptor)
}

func (a *API) deleteTag(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	cond, err := q.condition()
	if err != nil {
		return nil, err
	}
	ref := reference.Ref{Tag: q.param("tag")}
	opts := &registry.DeleteOptions{If: cond}
	return done(), q.caller.Backend().DeleteManifest(q.Context(), q.param("repository"), ref, opts)
}
