package client

import (
	"context"
	"iter"
	"net/http"

	"github.com/registrykit/registry/api/types"
)

// Organisations lists the organisations that the caller may see, sorted by name.
func (c *Client) Organisations(ctx context.Context) iter.Seq2[types.Organisation, error] {
	return list[types.Organisation](ctx, c, path("organisations"), nil)
}

// Organisation returns an organisation.
func (c *Client) Organisation(ctx context.Context, name string) (types.Organisation, Version, error) {
	return get[types.Organisation](ctx, c, path("organisations", name), nil)
}

// CreateOrganisation creates an organisation.
func (c *Client) CreateOrganisation(ctx context.Context, organisation types.NewOrganisation,
	opts *ChangeOptions) (types.Organisation, Version, error) {
	return change[types.Organisation](ctx, c, call{method: http.MethodPost, path: path("organisations"),
		query: opts.query(), in: organisation})
}

// UpdateOrganisation changes the profile of an organisation.
func (c *Client) UpdateOrganisation(ctx context.Context, name string, version Version, profile types.ProfileChange,
	opts *ChangeOptions) (types.Organisation, Version, error) {
	return change[types.Organisation](ctx, c, call{method: http.MethodPatch, path: path("organisations", name),
		query: opts.query(), version: version, in: profile})
}

// RenameOrganisation gives an organisation another name. The former name still belongs to it. version may be "".
func (c *Client) RenameOrganisation(ctx context.Context, name string, version Version, to string,
	opts *ChangeOptions) (types.Organisation, Version, error) {
	return change[types.Organisation](ctx, c, call{method: http.MethodPost, path: path("organisations", name, "rename"),
		query: opts.query(), version: version, in: types.Name{Name: to}})
}

// ReleaseOrganisationName ends the claim of an organisation to a former name. version may be "".
func (c *Client) ReleaseOrganisationName(ctx context.Context, name string, version Version, former string,
	opts *ChangeOptions) (types.Organisation, Version, error) {
	return change[types.Organisation](ctx, c, call{method: http.MethodPost, path: path("organisations", name, "release"),
		query: opts.query(), version: version, in: types.Name{Name: former}})
}

// DisableOrganisation disables an organisation and its robots. version may be "".
func (c *Client) DisableOrganisation(ctx context.Context, name string, version Version,
	opts *ChangeOptions) (types.Organisation, Version, error) {
	return change[types.Organisation](ctx, c, call{method: http.MethodPost, path: path("organisations", name, "disable"),
		query: opts.query(), version: version})
}

// EnableOrganisation ends the effect of [Client.DisableOrganisation]. version may be "".
func (c *Client) EnableOrganisation(ctx context.Context, name string, version Version,
	opts *ChangeOptions) (types.Organisation, Version, error) {
	return change[types.Organisation](ctx, c, call{method: http.MethodPost, path: path("organisations", name, "enable"),
		query: opts.query(), version: version})
}

// What happens to the repositories of a removed organisation; see [Client.DeleteOrganisation].
const (
	// RefuseRepositories refuses to remove an organisation with repositories. It is the default.
	RefuseRepositories = ""
	// DeleteRepositories removes the repositories, too.
	DeleteRepositories = "delete"
	// KeepRepositories keeps the repositories. Only admins may ask for it.
	KeepRepositories = "keep"
)

// DeleteOrganisation removes an organisation. repositories is one of the constants above.
func (c *Client) DeleteOrganisation(ctx context.Context, name string, version Version, repositories string,
	opts *ChangeOptions) error {
	q := opts.query()
	text(q, "repositories", repositories)
	return c.done(ctx, call{method: http.MethodDelete, path: path("organisations", name), query: q, version: version})
}

// Owners returns the names of the owners of an organisation.
func (c *Client) Owners(ctx context.Context, organisation string) ([]string, error) {
	all, _, err := get[types.OwnerList](ctx, c, path("organisations", organisation, "owners"), nil)
	return all.Items, err
}

// AddOwner makes a user an owner of an organisation. A repetition is not an error.
func (c *Client) AddOwner(ctx context.Context, organisation, user string, opts *ChangeOptions) error {
	return c.set(ctx, http.MethodPut, opts, "organisations", organisation, "owners", user)
}

// RemoveOwner makes an owner a member like the others. The last owner cannot be removed.
func (c *Client) RemoveOwner(ctx context.Context, organisation, user string, opts *ChangeOptions) error {
	return c.set(ctx, http.MethodDelete, opts, "organisations", organisation, "owners", user)
}

// Members lists the members of an organisation.
func (c *Client) Members(ctx context.Context, organisation string) iter.Seq2[types.Member, error] {
	return list[types.Member](ctx, c, path("organisations", organisation, "members"), nil)
}

// Member returns a member of an organisation.
func (c *Client) Member(ctx context.Context, organisation, user string) (types.Member, error) {
	m, _, err := get[types.Member](ctx, c, path("organisations", organisation, "members", user), nil)
	return m, err
}

// AddMember makes a user a member of an organisation. A repetition is not an error.
func (c *Client) AddMember(ctx context.Context, organisation, user string, opts *ChangeOptions) error {
	return c.set(ctx, http.MethodPut, opts, "organisations", organisation, "members", user)
}

// RemoveMember ends the membership of a user, also in all teams.
func (c *Client) RemoveMember(ctx context.Context, organisation, user string, opts *ChangeOptions) error {
	return c.set(ctx, http.MethodDelete, opts, "organisations", organisation, "members", user)
}

// set adds an element to a set, or removes it.
func (c *Client) set(ctx context.Context, method string, opts *ChangeOptions, segments ...string) error {
	return c.done(ctx, call{method: method, path: path(segments...), query: opts.query()})
}
