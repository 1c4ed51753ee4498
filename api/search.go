package api

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/image"
	"github.com/registrykit/registry/search"
)

// searchRoutes are the routes of the part search.
func (a *API) searchRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/search", access: readCatalog, handle: a.search},
		{method: "GET", path: "/v1/namespaces", access: readCatalog, handle: a.listNamespaces},
		{method: "GET", path: "/v1/repositories/{repository}/manifests/{reference}/shared", access: onReference,
			handle: a.getSharing},
	}
}

// searchKinds are the values of the parameter kind.
var searchKinds = []search.Kind{"", search.Repository, search.Tag, search.Image, search.User, search.Organisation}

func (a *API) search(q *request) (*response, error) {
	if err := q.only("q", "kind", "limit", "each"); err != nil {
		return nil, err
	}
	if err := q.filled("kind", "each"); err != nil {
		return nil, err
	}
	opts := &search.QueryOptions{Kind: search.Kind(q.query.Get("kind"))}
	var err error
	if _, opts.Limit, err = q.page(); err != nil {
		return nil, err
	}
	if q.query.Has("each") {
		if opts.Each, err = strconv.Atoi(q.query.Get("each")); err != nil || opts.Each < 1 || opts.Each > maxPage {
			return nil, errInvalid.WithMessage("each must be a number from 1 to 1000")
		}
	}
	if !slices.Contains(searchKinds, opts.Kind) {
		return nil, errInvalid.WithMessage("kind must be repository, tag, image, user or organisation")
	}
	text := q.query.Get("q")
	if !utf8.ValidString(text) {
		return nil, errInvalid.WithMessage("q must be UTF-8")
	}
	viewer, err := a.viewer(q)
	if err != nil {
		return nil, err
	}
	found, err := a.opts.Search.Search(q.Context(), text, viewer, opts)
	if errors.Is(err, search.ErrQuery) {
		return nil, errInvalid.WithMessage(strings.TrimPrefix(err.Error(), "search: ")).WithCause(err)
	}
	if err != nil {
		return nil, err
	}
	list := types.SearchList{Items: []types.SearchResult{}, More: found.More, Built: found.Built.UTC()}
	for _, kind := range found.MoreOf {
		list.MoreOf = append(list.MoreOf, string(kind))
	}
	for i := range found.Results {
		list.Items = append(list.Items, resultOf(&found.Results[i]))
	}
	everything, err := q.caller.Allows(q.Context(), readUsage)
	if everything {
		list.Unread = int64(a.opts.Search.State().Unread)
	}
	return &response{body: list}, err
}

// resultOf returns a result as the API shows it.
func resultOf(r *search.Result) types.SearchResult {
	t := types.SearchResult{Kind: string(r.Kind), Name: r.Name, Summary: r.Summary, Repository: r.Repository,
		Tag: r.Tag, Digest: r.Digest.String(), ArtifactType: r.ArtifactType, Platforms: r.Platforms,
		Pushed: instant(r.Pushed)}
	for _, m := range r.Matched {
		t.Matched = append(t.Matched, types.SearchMatch{Field: string(m.Field), Text: m.Text})
	}
	return t
}

func (a *API) listNamespaces(q *request) (*response, error) {
	if err := q.only("prefix", "limit", "after"); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	prefix := q.query.Get("prefix")
	if prefix != "" {
		if err := registry.CheckName(prefix); err != nil {
			return nil, err
		}
	}
	found, err := a.opts.Search.Namespaces(q.Context(), prefix, a.repositoryViewer(q),
		&search.NamespaceOptions{After: after, Limit: limit})
	if err != nil {
		return nil, err
	}
	list := types.NamespaceList{Items: []types.Namespace{}, Repositories: int64(found.Repositories),
		Built: found.Built.UTC()}
	for _, n := range found.List {
		list.Items = append(list.Items, types.Namespace{Prefix: n.Prefix, Repository: n.Repository,
			Repositories: int64(n.Repositories), Pushed: instant(n.Pushed)})
	}
	next := ""
	if found.More {
		next = found.List[len(found.List)-1].Prefix
	}
	return &response{body: list, next: next}, nil
}

func (a *API) getSharing(q *request) (*response, error) {
	if err := q.only("limit"); err != nil {
		return nil, err
	}
	_, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	ref, err := q.reference()
	if err != nil {
		return nil, err
	}
	repo := q.param("repository")
	facts, err := a.opts.Images.Read(q.Context(), q.caller.Reader(), repo, ref, &image.Options{NoConfig: true})
	if err != nil {
		return nil, err
	}
	layers := []digest.Digest{}
	if facts.Kind == image.KindImage {
		for _, l := range facts.Layers[:min(len(facts.Layers), maxSharedLayers)] {
			layers = append(layers, l.Digest)
		}
	}
	found, err := a.opts.Search.Sharing(q.Context(), layers, a.repositoryViewer(q),
		&search.SharingOptions{Limit: limit, Without: repo})
	if err != nil {
		return nil, err
	}
	s := types.Sharing{Items: []types.SharedImage{}, Layers: []types.SharedLayer{}, More: found.More,
		Built: found.Built.UTC()}
	for _, one := range found.Images {
		s.Items = append(s.Items, types.SharedImage{Repository: one.Repository, Tag: one.Tag, Digest: one.Digest.String(),
			Layers: int64(one.Layers)})
	}
	for i, n := range found.Repositories {
		s.Layers = append(s.Layers, types.SharedLayer{Digest: layers[i].String(), Repositories: int64(n)})
	}
	return &response{body: s}, nil
}

// maxSharedLayers is the maximum number of layers that are compared, that of package search.
const maxSharedLayers = 256

// repositoryViewer returns which repositories and tags the caller may find: those that the catalog and the lists of
// tags would contain.
func (a *API) repositoryViewer(q *request) search.Viewer {
	catalog := auth.Access{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All}
	v := search.Viewer{
		Prefixes: auth.Prefixes(q.Context(), a.registry.Authorizer(), q.caller.Identity()),
		Repository: func(ctx context.Context, name string) (bool, error) {
			// Both at once, as in the catalog: the scope of a token for the catalog names no
			// repositories.
			return q.caller.Allows(ctx, catalog, auth.Access{Type: auth.TypeRepository, Name: name, Action: auth.Pull})
		},
		Tag: func(ctx context.Context, repository, tag string) (bool, error) {
			return q.caller.Allows(ctx, auth.Access{Type: auth.TypeRepository, Name: repository, Action: auth.Pull, Tag: tag})
		},
	}
	if v.Prefixes == nil {
		v.Prefixes = []string{} // nothing at all
	}
	return v
}

// viewer returns what the caller may find. A caller who may not read the list of accounts finds the own account and
// the own organisations.
func (a *API) viewer(q *request) (search.Viewer, error) {
	v := a.repositoryViewer(q)
	if a.opts.Accounts == nil {
		return v, nil
	}
	var err error
	identity := q.caller.Identity()
	all := auth.Access{Type: auth.TypeRegistry, Name: auth.NameAccounts, Action: auth.Read}
	if v.AllAccounts, err = q.caller.Allows(q.Context(), all); err != nil || v.AllAccounts {
		return v, err
	}
	for _, name := range append([]string{identity.Name}, identity.Groups...) {
		if name == "" || strings.Contains(name, "/") { // a team
			continue
		}
		ok, err := q.caller.Allows(q.Context(), auth.Access{Type: auth.TypeAccount, Name: name, Action: auth.Read})
		if err != nil {
			return v, err
		}
		if ok {
			v.Accounts = append(v.Accounts, name)
		}
	}
	return v, nil
}
