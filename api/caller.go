package api

import (
	"errors"
	"slices"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
)

// callerRoutes are the routes of the part caller.
func (a *API) callerRoutes() []route {
	return []route{{method: "GET", path: "/v1/user", access: signedIn, handle: getCaller}}
}

func getCaller(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	identity := q.caller.Identity()
	caller := types.Caller{Name: identity.Name, Account: string(accountID(&identity)),
		Groups: append([]string{}, identity.Groups...)}
	slices.Sort(caller.Groups)
	caller.Token, _ = identity.Claims[accounts.SecretClaim].(string)
	if caller.Account != "" && q.api.opts.Accounts != nil {
		acc, err := q.api.opts.Accounts.Account(q.Context(), accountID(&identity))
		switch {
		case err == nil:
			caller.Kind = string(acc.Kind)
		case !errors.Is(err, accounts.ErrUnknown):
			return nil, err
		}
	}
	var err error
	caller.Admin, err = q.caller.Allows(q.Context(),
		auth.Access{Type: auth.TypeRegistry, Name: auth.NameAccounts, Action: auth.Manage})
	if err != nil {
		return nil, err
	}
	if q.api.opts.Accounts != nil {
		accesses, _ := createsOrganisations(q) // an error of a caller without a name, whom signedIn has refused
		caller.CreatesOrganisations, err = q.caller.Allows(q.Context(), accesses...)
	}
	return &response{body: caller}, err
}
