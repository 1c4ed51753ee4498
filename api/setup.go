package api

import (
	"context"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
)

// setUpper creates the first admin. [accounts.Accounts] implements it.
type setUpper interface {
	Admins(ctx context.Context) ([]accounts.ID, error)
	SetUp(ctx context.Context, token auth.Secret, name, password string) (*accounts.Account, error)
}

// setUpRoutes are the routes of the part setup.
func (a *API) setUpRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/setup", access: everyone, handle: getSetup},
		{method: "POST", path: "/v1/setup", access: everyone, handle: setUp},
	}
}

// getSetup reports whether the first admin is missing. It is the same for every token, so it reveals nothing about the
// right one.
func getSetup(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	admins, err := q.api.opts.Accounts.(setUpper).Admins(q.Context())
	if err != nil {
		return nil, err
	}
	return &response{body: types.SetupState{Open: len(admins) == 0}}, nil
}

func setUp(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	var body types.Setup
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	people := q.api.opts.Accounts.(setUpper)
	acc, err := people.SetUp(q.Context(), auth.Secret(body.Token), body.Name, body.Password)
	if err != nil {
		return nil, err
	}
	return createdUser(acc), nil
}
