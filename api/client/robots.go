package client

import (
	"context"
	"iter"
	"net/http"

	"github.com/registrykit/registry/api/types"
)

// Robots lists the robots of a user or organisation, sorted by name.
func (c *Client) Robots(ctx context.Context, namespace string) iter.Seq2[types.Robot, error] {
	return list[types.Robot](ctx, c, path("namespaces", namespace, "robots"), nil)
}

// Robot returns a robot. name is its name within the namespace, such as "deploy".
func (c *Client) Robot(ctx context.Context, namespace, name string) (types.Robot, Version, error) {
	return get[types.Robot](ctx, c, path("namespaces", namespace, "robots", name), nil)
}

// CreateRobot creates a robot. It has no token yet; see [Client.CreateToken].
func (c *Client) CreateRobot(ctx context.Context, namespace string, robot types.NewRobot,
	opts *ChangeOptions) (types.Robot, Version, error) {
	return change[types.Robot](ctx, c, call{method: http.MethodPost, path: path("namespaces", namespace, "robots"),
		query: opts.query(), in: robot})
}

// UpdateRobot changes the grants of a robot.
func (c *Client) UpdateRobot(ctx context.Context, namespace, name string, version Version, to types.RobotChange,
	opts *ChangeOptions) (types.Robot, Version, error) {
	return change[types.Robot](ctx, c, call{method: http.MethodPatch, path: path("namespaces", namespace, "robots", name),
		query: opts.query(), version: version, in: to})
}

// DisableRobot ends the effect of the tokens of a robot until [Client.EnableRobot]. version may be "".
func (c *Client) DisableRobot(ctx context.Context, namespace, name string, version Version,
	opts *ChangeOptions) (types.Robot, Version, error) {
	return change[types.Robot](ctx, c, call{method: http.MethodPost,
		path: path("namespaces", namespace, "robots", name, "disable"), query: opts.query(), version: version})
}

// EnableRobot ends the effect of [Client.DisableRobot]. version may be "".
func (c *Client) EnableRobot(ctx context.Context, namespace, name string, version Version,
	opts *ChangeOptions) (types.Robot, Version, error) {
	return change[types.Robot](ctx, c, call{method: http.MethodPost,
		path: path("namespaces", namespace, "robots", name, "enable"), query: opts.query(), version: version})
}

// DeleteRobot removes a robot and its tokens.
func (c *Client) DeleteRobot(ctx context.Context, namespace, name string, version Version, opts *ChangeOptions) error {
	return c.done(ctx, call{method: http.MethodDelete, path: path("namespaces", namespace, "robots", name),
		query: opts.query(), version: version})
}
