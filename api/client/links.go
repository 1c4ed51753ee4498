package client

import (
	"context"
	"net/http"

	"github.com/registrykit/registry/api/types"
)

// Links returns the persons at OpenID providers who can sign in as a user.
func (c *Client) Links(ctx context.Context, user string) ([]types.Link, error) {
	all, _, err := get[types.LinkList](ctx, c, path("users", user, "links"), nil)
	return all.Items, err
}

// Unlink removes a link of a user and ends the sessions that the person began. A user without a password and without
// links can log in only with tokens. Call Unlink again after an error of the server: it then ends the sessions that are
// left, and returns ErrNotFound.
//
// Errors: ErrDenied, also if the client sends a token.
func (c *Client) Unlink(ctx context.Context, user, id string, opts *ChangeOptions) error {
	return c.done(ctx, call{method: http.MethodDelete, path: path("users", user, "links", id), query: opts.query()})
}
