package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/quota"
)

// allPrefix is the prefix "" in a path.
const allPrefix = "~"

// quotaRoutes are the routes of the part quota.
func (a *API) quotaRoutes() []route {
	read := needs(auth.TypeRegistry, auth.NameQuota, auth.Read)
	manage := needs(auth.TypeRegistry, auth.NameQuota, auth.Manage)
	return []route{
		{method: "GET", path: "/v1/quota/limits", access: read, handle: listQuotaLimits},
		{method: "GET", path: "/v1/quotas", access: read, handle: listQuotas},
		{method: "GET", path: "/v1/quotas/{prefix}", access: ownQuota, handle: getQuota},
		{method: "POST", path: "/v1/quotas/{prefix}/recount", access: manage, handle: recountQuota},
	}
}

// ownQuota is the access to the quota of a prefix. It suffices that the caller may read all quotas,
// read the account of the namespace, or manage the repository of that name.
func ownQuota(q *request) ([]auth.Access, error) {
	registryWide := auth.Access{Type: auth.TypeRegistry, Name: auth.NameQuota, Action: auth.Read}
	prefix := q.param("prefix")
	if registry.CheckName(prefix) != nil {
		return []auth.Access{registryWide}, nil
	}
	namespace, _, _ := strings.Cut(prefix, "/")
	return q.first(
		auth.Access{Type: auth.TypeAccount, Name: namespace, Action: auth.Read},
		auth.Access{Type: auth.TypeRepository, Name: prefix, Action: auth.Manage}, registryWide)
}

// first returns the first access that the caller has, or the last one of all.
func (q *request) first(accesses ...auth.Access) ([]auth.Access, error) {
	for i := range accesses {
		one := accesses[i : i+1]
		if ok, err := q.caller.Allows(q.Context(), one...); err != nil || ok {
			return one, err
		}
	}
	return accesses[len(accesses)-1:], nil
}

func listQuotaLimits(q *request) (*response, error) {
	if err := q.only("after", "limit"); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	from := 0
	if after != "" {
		if from, err = strconv.Atoi(after); err != nil || from < 0 {
			return nil, errInvalid.WithMessage("after must be a cursor of a Link header")
		}
	}
	list := types.QuotaLimitList{Items: []types.QuotaLimit{}}
	all := q.api.opts.Quotas.Limits().List()
	for i, l := range all[min(from, len(all)):] {
		if i == limit {
			return &response{body: list, next: strconv.Itoa(from + limit)}, nil
		}
		list.Items = append(list.Items, types.QuotaLimit{Prefix: l.Prefix, Max: amounts(l.Max), Soft: amounts(l.Soft),
			Unlimited: l.Unlimited})
	}
	return &response{body: list}, nil
}

func listQuotas(q *request) (*response, error) {
	if err := q.only("after", "limit"); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	states := q.api.opts.Quotas.States(q.Context())
	if after != "" {
		prefix, err := prefixOf(after)
		if err != nil {
			return nil, errInvalid.WithMessage("after must be a cursor of a Link header")
		}
		states = q.api.opts.Quotas.StatesAfter(q.Context(), prefix)
	}
	list := types.QuotaList{Items: []types.Quota{}}
	for s, err := range states {
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, quotaOf(s))
		if len(list.Items) == limit {
			next := s.Prefix
			if next == "" {
				next = allPrefix
			}
			return &response{body: list, next: next}, nil
		}
	}
	return &response{body: list}, nil
}

func getQuota(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	prefix, err := prefixOf(q.param("prefix"))
	if err != nil {
		return nil, err
	}
	s, err := q.api.opts.Quotas.StateOf(q.Context(), prefix)
	if err != nil {
		return nil, err
	}
	return found(quotaOf(s)), nil
}

func recountQuota(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	prefix, err := prefixOf(q.param("prefix"))
	if err != nil {
		return nil, err
	}
	if err := q.api.opts.Quotas.Recount(q.Context(), prefix); err != nil {
		return nil, err
	}
	s, err := q.api.opts.Quotas.StateOf(q.Context(), prefix)
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusOK, body: quotaOf(s), tagged: true}, nil
}

// prefixOf returns the prefix in a path or cursor.
//
// Errors: 400.
func prefixOf(text string) (string, error) {
	if text == allPrefix {
		return "", nil
	}
	return text, registry.CheckName(text)
}

func quotaOf(s quota.State) types.Quota {
	return types.Quota{Prefix: s.Prefix, Used: amounts(s.Used), Pending: amounts(s.Pending), Max: amounts(s.Max),
		Soft: amounts(s.Soft), Counted: instant(s.Counted)}
}

func amounts(a quota.Amounts) types.QuotaAmounts {
	return types.QuotaAmounts{Bytes: a.Bytes, Repositories: a.Repositories, Manifests: a.Manifests, Tags: a.Tags}
}
