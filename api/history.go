package api

import (
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
)

// historyRoutes are the routes of the part history.
func (a *API) historyRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/repositories/{repository}/history", access: onHistory, handle: a.listHistory},
		{method: "POST", path: "/v1/repositories/{repository}/restore", access: onRepository(auth.Push),
			handle: a.restore},
	}
}

// onHistory is the access for the history of a repository, or of the tag in the query.
func onHistory(q *request) ([]auth.Access, error) {
	accesses, err := onRepository(auth.Pull)(q)
	if err != nil {
		return nil, err
	}
	if tag := q.URL.Query().Get("tag"); tag != "" {
		accesses[0].Tag = tag
		err = registry.CheckTag(tag)
	}
	return accesses, err
}

func (a *API) listHistory(q *request) (*response, error) {
	if err := q.only("tag", "limit", "after"); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	opts := &registry.HistoryOptions{Tag: q.query.Get("tag"), After: after, PageHint: limit + 1}
	list, last, next := types.ChangeList{Items: []types.Change{}}, "", ""
	for e, err := range q.caller.Backend().History(q.Context(), q.param("repository"), opts) {
		if err != nil {
			return nil, err
		}
		if len(list.Items) == limit {
			next = last
			break
		}
		list.Items, last = append(list.Items, changeOf(&e)), e.ID
	}
	return &response{body: list, next: next}, nil
}

// changeOf returns an entry of a history as the API shows it.
func changeOf(e *registry.HistoryEntry) types.Change {
	c := types.Change{Time: e.Time.UTC(), Change: string(e.Change), By: e.By, Tag: e.Tag, Tags: e.Tags,
		Unconfirmed: e.Unconfirmed}
	c.Before, c.After = optionalDescriptor(e.Before), optionalDescriptor(e.After)
	return c
}

func optionalDescriptor(d *ocispec.Descriptor) *types.Descriptor {
	if d == nil {
		return nil
	}
	t := descriptorOf(*d)
	return &t
}

// restore needs push access to the repository for any answer. The Backend also asks for access to
// each tag.
func (a *API) restore(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	var what types.Restore
	if err := q.decode(&what); err != nil {
		return nil, err
	}
	ref := reference.Ref{Tag: what.Tag, Digest: digest.Digest(what.Digest)}
	opts := &registry.RestoreOptions{To: digest.Digest(what.To)}
	cond, err := q.condition()
	if err != nil {
		return nil, err
	}
	if cond != nil {
		opts.SetTag = func(t *registry.TagPut) error {
			t.If = cond
			return nil
		}
	}
	switch {
	case cond != nil && ref.Tag == "":
		return nil, errInvalid.WithMessage("If-Match and If-None-Match go with a tag")
	case ref.Tag != "" && ref.Digest != "":
		return nil, errInvalid.WithMessage("a restore has a tag or a digest")
	case ref.Tag == "" && opts.To != "":
		return nil, errInvalid.WithMessage("to goes with a tag")
	}
	res, err := q.caller.Backend().Restore(q.Context(), q.param("repository"), ref, opts)
	if err != nil {
		return nil, err
	}
	r := types.Restored{Manifests: []types.RestoredManifest{}}
	for _, m := range res.Manifests {
		d := m.Descriptor
		r.Manifests = append(r.Manifests, types.RestoredManifest{
			Digest: d.Digest.String(), MediaType: d.MediaType, Size: d.Size, Tags: m.Tags,
		})
	}
	for _, d := range res.Lost {
		r.Lost = append(r.Lost, d.String())
	}
	return &response{body: r}, nil
}
