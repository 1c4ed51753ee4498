package api

import (
	"context"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/reference"
)

// mirrorRoutes are the routes of the part mirror.
func (a *API) mirrorRoutes() []route {
	read := needs(auth.TypeRegistry, auth.NameMirror, auth.Read)
	manage := needs(auth.TypeRegistry, auth.NameMirror, auth.Manage)
	const pin = "/v1/mirror/pins/{repository}/{reference}"
	return []route{
		{method: "GET", path: "/v1/mirror", access: read, handle: getMirror},
		{method: "POST", path: "/v1/mirror/refresh", access: manage, handle: refreshMirror},
		{method: "GET", path: "/v1/mirror/pins", access: read, handle: listPins},
		// The pins are a set, so these two may be repeated, and need no condition.
		{method: "PUT", path: pin, access: manage, handle: pinImage},
		{method: "DELETE", path: pin, access: manage, handle: unpinImage},
	}
}

func getMirror(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	s := q.api.opts.Mirror.Stats()
	m := types.Mirror{
		Upstreams: []types.Upstream{}, Hits: s.Hits, Misses: s.Misses, Stale: s.Stale, Served: s.Served, Fetched: s.Fetched,
		Fills: s.Fills, Readers: s.Readers, Size: s.Size, SizeAt: instant(s.SizeAt), Evicted: s.Evicted,
	}
	stats := map[string]mirror.UpstreamStats{}
	for _, one := range s.Upstreams {
		stats[one.Name] = one
	}
	for _, u := range q.api.opts.Mirror.Upstreams() {
		m.Upstreams = append(m.Upstreams, upstreamOf(u, stats[u.Name]))
	}
	return &response{body: m}, nil
}

// upstreamOf returns an upstream and its counters, without credentials.
func upstreamOf(u mirror.Upstream, s mirror.UpstreamStats) types.Upstream {
	one := types.Upstream{
		Name: u.Name, Prefix: u.Prefix, Aliases: texts(u.Aliases), Hosts: texts(u.Hosts), URLs: texts(u.URLs),
		PassThrough: u.PassThrough, Allow: texts(u.Allow), Deny: texts(u.Deny),
		Requests: counts(s.Requests), Errors: counts(s.Errors), Until: instant(s.Until), Down: s.Down,
	}
	if u.TagTTL > 0 {
		one.TagTTL = int64(u.TagTTL.Seconds())
	}
	if s.Limit >= 0 {
		one.Limit = &s.Limit
	}
	if s.Remaining >= 0 {
		one.Remaining = &s.Remaining
	}
	return one
}

func refreshMirror(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	var in types.Refresh
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	if err := registry.CheckName(in.Repository); err != nil {
		return nil, err
	}
	if in.Tag != "" {
		if err := registry.CheckRef(reference.Ref{Tag: in.Tag}); err != nil {
			return nil, err
		}
	}
	changed, err := q.api.opts.Mirror.Refresh(q.Context(), in.Repository, in.Tag)
	if err != nil {
		return nil, err
	}
	return &response{body: types.Refreshed{Changed: changed}}, nil
}

func listPins(q *request) (*response, error) {
	if err := q.only("after", "limit"); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	pins := q.api.opts.Mirror.Pins(q.Context())
	if after != "" {
		repo, text := splitPin(after)
		ref, err := parseReference(text)
		if err != nil {
			return nil, err
		}
		pins = q.api.opts.Mirror.PinsAfter(q.Context(), repo, ref)
	}
	list := types.PinList{Items: []types.Pin{}}
	for text, err := range pins {
		if err != nil {
			return nil, err
		}
		repo, ref := splitPin(text)
		list.Items = append(list.Items, types.Pin{Repository: repo, Reference: ref})
		if len(list.Items) == limit {
			return &response{body: list, next: text}, nil
		}
	}
	return &response{body: list}, nil
}

// splitPin divides "repository:tag" or "repository@digest".
func splitPin(text string) (repo, ref string) {
	if repo, ref, ok := strings.Cut(text, "@"); ok {
		return repo, ref
	}
	i := max(0, strings.LastIndexByte(text, ':'))
	return text[:i], strings.TrimPrefix(text[i:], ":")
}

func pinImage(q *request) (*response, error) {
	return q.pin((*mirror.Mirror).Pin)
}

func unpinImage(q *request) (*response, error) {
	return q.pin((*mirror.Mirror).Unpin)
}

// pin calls a method of the Mirror with the image in the path.
func (q *request) pin(change func(*mirror.Mirror, context.Context, string, reference.Ref) error) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	repo := q.param("repository")
	if err := registry.CheckName(repo); err != nil {
		return nil, err
	}
	ref, err := q.reference()
	if err != nil {
		return nil, err
	}
	if err := change(q.api.opts.Mirror, q.Context(), repo, ref); err != nil {
		return nil, err
	}
	return done(), nil
}
