package api

import (
	"errors"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth/accounts"
)

func listMemberships(q *request) (*response, error) {
	if err := q.only("limit", "after"); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err == nil {
		err = checkCursor(after)
	}
	if err != nil {
		return nil, err
	}
	acc, err := q.accountAt("user", accounts.User)
	if err != nil {
		return nil, err
	}
	list := types.MembershipList{Items: []types.Membership{}}
	for m, err := range q.api.opts.Accounts.Memberships(q.Context(), acc.ID, accounts.ID(after)) {
		if err != nil {
			return nil, err
		}
		organisation, err := q.api.opts.Accounts.Account(q.Context(), m.Organisation)
		if errors.Is(err, accounts.ErrUnknown) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, types.Membership{
			Organisation: organisation.Name, Owner: m.Owner, Teams: append([]string{}, m.Teams...), Since: m.Since.UTC(),
		})
		if len(list.Items) == limit {
			return &response{body: list, next: string(m.Organisation)}, nil
		}
	}
	return &response{body: list}, nil
}
