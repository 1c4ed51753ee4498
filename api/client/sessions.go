package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"

	"github.com/registrykit/registry/api/types"
)

// Sessions lists the sessions of the caller.
func (c *Client) Sessions(ctx context.Context) iter.Seq2[types.Session, error] {
	return list[types.Session](ctx, c, path("user", "sessions"), nil)
}

// Session returns a session of the caller.
func (c *Client) Session(ctx context.Context, id string) (types.Session, Version, error) {
	return get[types.Session](ctx, c, path("user", "sessions", id), nil)
}

// EndSession ends a session of the caller.
func (c *Client) EndSession(ctx context.Context, id string, version Version) error {
	return c.done(ctx, call{method: http.MethodDelete, path: path("user", "sessions", id), version: version})
}

// EndOtherSessions ends all sessions of the caller except for that of the request.
func (c *Client) EndOtherSessions(ctx context.Context) error {
	return c.done(ctx, call{method: http.MethodDelete, path: path("user", "sessions")})
}

// Description returns the OpenAPI description of the API.
func (c *Client) Description(ctx context.Context) (json.RawMessage, error) {
	content, _, err := get[json.RawMessage](ctx, c, path("openapi.json"), nil)
	return content, err
}
