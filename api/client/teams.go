package client

import (
	"context"
	"iter"
	"net/http"

	"github.com/registrykit/registry/api/types"
)

// Teams lists the teams of an organisation, sorted by name.
func (c *Client) Teams(ctx context.Context, organisation string) iter.Seq2[types.Team, error] {
	return list[types.Team](ctx, c, path("organisations", organisation, "teams"), nil)
}

// Team returns a team.
func (c *Client) Team(ctx context.Context, organisation, team string) (types.Team, Version, error) {
	return get[types.Team](ctx, c, path("organisations", organisation, "teams", team), nil)
}

// CreateTeam creates a team.
func (c *Client) CreateTeam(ctx context.Context, organisation string, team types.NewTeam,
	opts *ChangeOptions) (types.Team, Version, error) {
	return change[types.Team](ctx, c, call{method: http.MethodPost, path: path("organisations", organisation, "teams"),
		query: opts.query(), in: team})
}

// UpdateTeam changes the description and the grants of a team.
func (c *Client) UpdateTeam(ctx context.Context, organisation, team string, version Version, to types.TeamChange,
	opts *ChangeOptions) (types.Team, Version, error) {
	return change[types.Team](ctx, c, call{method: http.MethodPatch,
		path: path("organisations", organisation, "teams", team), query: opts.query(), version: version, in: to})
}

// DeleteTeam removes a team.
func (c *Client) DeleteTeam(ctx context.Context, organisation, team string, version Version,
	opts *ChangeOptions) error {
	return c.done(ctx, call{method: http.MethodDelete, path: path("organisations", organisation, "teams", team),
		query: opts.query(), version: version})
}

// TeamMembers lists the members of a team.
func (c *Client) TeamMembers(ctx context.Context, organisation, team string) iter.Seq2[types.Member, error] {
	return list[types.Member](ctx, c, path("organisations", organisation, "teams", team, "members"), nil)
}

// JoinTeam makes a user a member of a team, and of its organisation. A repetition is not an error.
func (c *Client) JoinTeam(ctx context.Context, organisation, team, user string, opts *ChangeOptions) error {
	return c.set(ctx, http.MethodPut, opts, "organisations", organisation, "teams", team, "members", user)
}

// LeaveTeam ends the membership of a user in a team. The user stays a member of the organisation.
func (c *Client) LeaveTeam(ctx context.Context, organisation, team, user string, opts *ChangeOptions) error {
	return c.set(ctx, http.MethodDelete, opts, "organisations", organisation, "teams", team, "members", user)
}
