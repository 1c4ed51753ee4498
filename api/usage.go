package api

import (
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/usage"
)

// readUsage is the access to all usage.
var readUsage = auth.Access{Type: auth.TypeRegistry, Name: auth.NameUsage, Action: auth.Read}

// usageRoutes are the routes of the part usage.
func (a *API) usageRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/usage", access: onUsage, handle: a.getUsage},
		{method: "GET", path: "/v1/usage/children", access: onUsage, handle: a.listUsage},
		{method: "GET", path: "/v1/usage/largest", access: onUsage, handle: a.listLargest},
		{method: "GET", path: "/v1/repositories/{repository}/usage", access: onRepository(auth.Pull),
			handle: a.getRepositoryUsage},
	}
}

// onUsage is the access to the usage of the prefix in the query. The figures contain those of all
// repositories below it, so a caller needs the usage as a whole, or the account that the namespace
// belongs to.
func onUsage(q *request) ([]auth.Access, error) {
	prefix := q.URL.Query().Get("prefix")
	if prefix == "" {
		return []auth.Access{readUsage}, nil
	}
	if err := registry.CheckName(prefix); err != nil {
		return nil, err
	}
	ok, err := q.caller.Allows(q.Context(), readUsage)
	if err != nil || ok {
		return []auth.Access{readUsage}, err
	}
	return []auth.Access{ofNamespace(prefix)}, nil
}

// ofNamespace is the access to manage the account that the namespace of a repository or prefix
// belongs to.
func ofNamespace(prefix string) auth.Access {
	namespace, _, _ := strings.Cut(prefix, "/")
	return auth.Access{Type: auth.TypeAccount, Name: namespace, Action: auth.Manage}
}

func (a *API) getUsage(q *request) (*response, error) {
	if err := q.only("prefix"); err != nil {
		return nil, err
	}
	prefix := q.query.Get("prefix")
	r, err := a.opts.Usage.Report(q.Context(), prefix)
	if err != nil {
		return nil, err
	}
	show, err := showUsage(q)
	if err != nil {
		return nil, err
	}
	u := show(r)
	u.History, err = a.usageHistory(q, prefix, show)
	return &response{body: u}, err
}

// usageHistory returns the figures of a month.
func (a *API) usageHistory(q *request, prefix string, show func(usage.Report) types.Usage) ([]types.UsageDay, error) {
	var days []types.UsageDay
	for r, err := range a.opts.Usage.History(q.Context(), prefix) {
		if err != nil {
			return nil, err
		}
		days = append(days, types.UsageDay{Counted: r.Counted.UTC(), Figures: show(r).Figures})
	}
	return days, nil
}

func (a *API) listUsage(q *request) (*response, error) {
	if err := q.only("prefix", "limit", "after"); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	return usageList(q, a.opts.Usage.Children(q.Context(), q.query.Get("prefix"), after), limit)
}

func (a *API) listLargest(q *request) (*response, error) {
	if err := q.only("prefix", "limit"); err != nil {
		return nil, err
	}
	limit := usage.MaxLargest
	if q.query.Has("limit") {
		text := q.query.Get("limit")
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > usage.MaxLargest {
			return nil, errInvalid.WithMessage("limit must be a number from 1 to " + strconv.Itoa(usage.MaxLargest))
		}
		limit = n
	}
	reports, err := a.opts.Usage.Largest(q.Context(), q.query.Get("prefix"), limit)
	if err != nil {
		return nil, err
	}
	return usageList(q, func(yield func(usage.Report, error) bool) {
		for _, r := range reports {
			if !yield(r, nil) {
				return
			}
		}
	}, limit)
}

// usageList returns a page of reports.
func usageList(q *request, reports iter.Seq2[usage.Report, error], limit int) (*response, error) {
	show, err := showUsage(q)
	if err != nil {
		return nil, err
	}
	list, next := types.UsageList{Items: []types.Usage{}}, ""
	for r, err := range reports {
		if err != nil {
			return nil, err
		}
		if len(list.Items) == limit {
			next = list.Items[limit-1].Prefix
			break
		}
		list.Items = append(list.Items, show(r))
	}
	return &response{body: list, next: next}, nil
}

func (a *API) getRepositoryUsage(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	name := q.param("repository")
	u, err := a.ownUsage(q, name)
	if err != nil {
		return nil, err
	}
	ok, err := q.caller.Allows(q.Context(), readUsage)
	if err == nil && !ok {
		ok, err = q.caller.Allows(q.Context(), ofNamespace(name))
	}
	if err != nil || !ok {
		return &response{body: u}, err
	}
	show, err := showUsage(q)
	if err != nil {
		return nil, err
	}
	days, children := []types.UsageDay{}, false
	for r, err := range a.opts.Usage.History(q.Context(), name) {
		if err != nil {
			return nil, err
		}
		children = children || r.Figures.Repositories > 1 || r.Children > 0
		days = append(days, types.UsageDay{Counted: r.Counted.UTC(), Figures: show(r).Figures})
	}
	if !children { // otherwise the figures are those of other repositories, too
		u.History = days
	}
	return &response{body: u}, nil
}

// ownUsage returns what a repository holds, without the repositories below it.
//
// Errors: usage.ErrNotCounted; registry.ErrNameUnknown.
func (a *API) ownUsage(q *request, name string) (*types.Usage, error) {
	r, err := a.opts.Usage.Report(q.Context(), name)
	if err != nil {
		return nil, err
	}
	if !r.Repository {
		return nil, registry.ErrNameUnknown // there are only repositories below it
	}
	show, err := showUsage(q)
	if err != nil {
		return nil, err
	}
	r.Figures, r.Children = r.Own, 0
	u := show(r)
	return &u, nil
}

// showUsage returns a function that returns a report as the caller may see it. Figures.Exclusive
// says whether other repositories have the same content, so it is shown only to callers with read access
// to all usage.
func showUsage(q *request) (func(usage.Report) types.Usage, error) {
	everything, err := q.caller.Allows(q.Context(), readUsage)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return func(r usage.Report) types.Usage {
		f := r.Figures
		u := types.Usage{Prefix: r.Prefix, Repository: r.Repository, Children: r.Children, Counted: r.Counted.UTC(),
			Age: int64(r.Age(now) / time.Second), Figures: types.Figures{
				Repositories: f.Repositories, Tags: f.Tags, Manifests: f.Manifests, Blobs: f.Blobs, Logical: f.Logical,
				Repeated: f.Repeated, Physical: f.Physical, Unreferenced: f.Unreferenced,
			}}
		if everything {
			u.Figures.Exclusive = &f.Exclusive
		}
		return u
	}, nil
}
