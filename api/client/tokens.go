package client

import (
	"context"
	"net/http"
	"time"

	"github.com/registrykit/registry/api/types"
)

// Tokens returns the tokens of a user or robot, without their values.
func (c *Client) Tokens(ctx context.Context, account string) ([]types.Token, error) {
	all, _, err := get[types.TokenList](ctx, c, path("accounts", account, "tokens"), nil)
	return all.Items, err
}

// Token returns a token of a user or robot, without its value.
func (c *Client) Token(ctx context.Context, account, id string) (types.Token, Version, error) {
	return get[types.Token](ctx, c, path("accounts", account, "tokens", id), nil)
}

// CreateToken creates a token. Its value is shown only now.
func (c *Client) CreateToken(ctx context.Context, account string, token types.NewToken,
	opts *ChangeOptions) (types.CreatedToken, error) {
	made, _, err := change[types.CreatedToken](ctx, c, call{method: http.MethodPost,
		path: path("accounts", account, "tokens"), query: opts.query(), in: token})
	return made, err
}

// RotateToken creates a token that replaces another one, which remains valid for the time grace, in whole seconds.
// version may be "".
func (c *Client) RotateToken(ctx context.Context, account, id string, version Version, grace time.Duration,
	opts *ChangeOptions) (types.CreatedToken, error) {
	made, _, err := change[types.CreatedToken](ctx, c, call{method: http.MethodPost,
		path: path("accounts", account, "tokens", id, "rotate"), query: opts.query(), version: version,
		in: types.Rotation{Grace: int(grace / time.Second)}})
	return made, err
}

// RevokeToken ends a token.
func (c *Client) RevokeToken(ctx context.Context, account, id string, version Version, opts *ChangeOptions) error {
	return c.done(ctx, call{method: http.MethodDelete, path: path("accounts", account, "tokens", id),
		query: opts.query(), version: version})
}
