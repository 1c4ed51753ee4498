package api

import (
	"context"
	"errors"
	"strings"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/search"
)

// searchRoutes are the routes of the part search.
func (a *API) searchRoutes() []route {
	return []route{{method: "GET", path: "/v1/search", access: readCatalog, handle: a.search}}
}

func (a *API) search(q *request) (*response, error) {
	if err := q.only("q", "kind", "limit"); err != nil {
		return nil, err
	}
	if err := q.filled("kind"); err != nil {
		return nil, err
	}
	_, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	kind := search.Kind(q.query.Get("kind"))
	switch kind {
	case "", search.Repository, search.User, search.Organisation:
	default:
		return nil, errInvalid.WithMessage("kind must be repository, user or organisation")
	}
	viewer, err := a.viewer(q)
	if err != nil {
		return nil, err
	}
	found, err := a.opts.Search.Search(q.Context(), q.query.Get("q"), viewer,
		&search.QueryOptions{Kind: kind, Limit: limit})
	if errors.Is(err, search.ErrQuery) {
		return nil, errInvalid.WithMessage(strings.TrimPrefix(err.Error(), "search: ")).WithCause(err)
	}
	if err != nil {
		return nil, err
	}
	list := types.SearchList{Items: []types.SearchResult{}, More: found.More, Built: found.Built.UTC()}
	for _, r := range found.Results {
		list.Items = append(list.Items, types.SearchResult{Kind: string(r.Kind), Name: r.Name, Summary: r.Summary})
	}
	return &response{body: list}, nil
}

// viewer returns what the caller may find. A caller who may not read the list of accounts finds the
// own account and the own organisations.
func (a *API) viewer(q *request) (search.Viewer, error) {
	identity := q.caller.Identity()
	catalog := auth.Access{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All}
	v := search.Viewer{
		Prefixes: auth.Prefixes(q.Context(), a.registry.Authorizer(), identity),
		Repository: func(ctx context.Context, name string) (bool, error) {
			// Both at once, as in the catalog: the scope of a token for the catalog names no
			// repositories.
			return q.caller.Allows(ctx, catalog, auth.Access{Type: auth.TypeRepository, Name: name, Action: auth.Pull})
		},
	}
	if v.Prefixes == nil {
		v.Prefixes = []string{} // nothing at all
	}
	if a.opts.Accounts == nil {
		return v, nil
	}
	var err error
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
