package api

import (
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth/accounts"
)

// signUpRoutes are the routes of the part signup.
func (a *API) signUpRoutes() []route {
	return []route{{method: "POST", path: "/v1/signup", access: everyone, handle: signUp}}
}

func signUp(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	var body types.SignUp
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	acc, err := q.api.opts.SignUp.SignUp(q.Request, body.Name, body.Password, &accounts.UserOptions{
		Profile: accounts.Profile{FullName: body.FullName, Email: body.Email},
	})
	if err != nil {
		return nil, err
	}
	return createdUser(acc), nil
}
