package api

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth/accounts"
)

// adminRoutes are the routes of the part admins.
func (a *API) adminRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/admins", access: readAccounts, handle: listAdmins},
		{method: "PUT", path: "/v1/admins/{user}", access: manageAccounts, handle: addAdmin},
		{method: "DELETE", path: "/v1/admins/{user}", access: manageAccounts, handle: removeAdmin},
	}
}

func listAdmins(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	ids, err := q.api.opts.Accounts.Admins(q.Context())
	if err != nil {
		return nil, err
	}
	list := types.AdminList{Items: []types.Admin{}}
	for _, id := range ids {
		acc, err := q.api.opts.Accounts.Account(q.Context(), id)
		if errors.Is(err, accounts.ErrUnknown) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, types.Admin{ID: string(id), Name: acc.Name})
	}
	slices.SortFunc(list.Items, func(x, y types.Admin) int { return strings.Compare(x.Name, y.Name) })
	return &response{body: list}, nil
}

func addAdmin(q *request) (*response, error) {
	by, err := q.change("reason")
	if err == nil {
		err = q.mayLast(time.Time{})
	}
	if err != nil {
		return nil, err
	}
	acc, err := q.accountAt("user", accounts.User)
	if err != nil {
		return nil, err
	}
	if err := q.api.opts.Accounts.AddAdmin(q.Context(), by, acc.ID); err != nil {
		return nil, err
	}
	return done(), nil
}

func removeAdmin(q *request) (*response, error) {
	by, err := q.change("reason")
	if err != nil {
		return nil, err
	}
	acc, err := q.accountAt("user", accounts.User)
	if err != nil {
		return nil, err
	}
	if err := q.api.opts.Accounts.RemoveAdmin(q.Context(), by, acc.ID); err != nil {
		return nil, err
	}
	return done(), nil
}
