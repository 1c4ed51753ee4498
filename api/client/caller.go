package client

import (
	"context"
	"net/http"

	"github.com/registrykit/registry/api/types"
)

// Parts returns the names of the parts that the API has.
func (c *Client) Parts(ctx context.Context) ([]string, error) {
	parts, _, err := get[types.PartList](ctx, c, path("parts"), nil)
	return parts.Items, err
}

// Caller returns who the caller is.
func (c *Client) Caller(ctx context.Context) (types.Caller, error) {
	who, _, err := get[types.Caller](ctx, c, path("user"), nil)
	return who, err
}

// ChangePassword changes the password of the caller, who must have logged in with it.
func (c *Client) ChangePassword(ctx context.Context, old, password string) error {
	return c.done(ctx, call{method: http.MethodPut, path: path("user", "password"),
		in: types.PasswordChange{Old: old, New: password}})
}

// PasswordRules returns the rules for new passwords.
func (c *Client) PasswordRules(ctx context.Context) (types.PasswordRules, error) {
	rules, _, err := get[types.PasswordRules](ctx, c, path("password"), nil)
	return rules, err
}

// SignUp creates the account of a new user, if the registry permits it.
func (c *Client) SignUp(ctx context.Context, user types.SignUp) (types.User, error) {
	made, _, err := change[types.User](ctx, c, call{method: http.MethodPost, path: path("signup"), in: user})
	return made, err
}

// SetUp creates the first admin with the one-time token that the registry has shown to its operator.
func (c *Client) SetUp(ctx context.Context, setup types.Setup) (types.User, error) {
	made, _, err := change[types.User](ctx, c, call{method: http.MethodPost, path: path("setup"), in: setup})
	return made, err
}

// SetupState returns whether the first admin can be created.
func (c *Client) SetupState(ctx context.Context) (types.SetupState, error) {
	state, _, err := get[types.SetupState](ctx, c, path("setup"), nil)
	return state, err
}
