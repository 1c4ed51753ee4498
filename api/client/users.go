package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/registrykit/registry/api/types"
)

// UsersOptions are the options of [Client.Users]. nil means the zero UsersOptions: all users.
type UsersOptions struct {
	// Query selects the users whose name begins with it.
	Query string
	// Disabled selects disabled users if it is true, and the others if it is false. nil selects both.
	Disabled *bool
}

// Users lists the users, sorted by name.
func (c *Client) Users(ctx context.Context, opts *UsersOptions) iter.Seq2[types.User, error] {
	q := url.Values{}
	if opts != nil {
		text(q, "q", opts.Query)
		if opts.Disabled != nil {
			q.Set("disabled", strconv.FormatBool(*opts.Disabled))
		}
	}
	return list[types.User](ctx, c, path("users"), q)
}

// User returns a user.
func (c *Client) User(ctx context.Context, name string) (types.User, Version, error) {
	return get[types.User](ctx, c, path("users", name), nil)
}

// CreateUser creates a user.
func (c *Client) CreateUser(ctx context.Context, user types.NewUser, opts *ChangeOptions) (types.User, Version, error) {
	return change[types.User](ctx, c, call{method: http.MethodPost, path: path("users"), query: opts.query(), in: user})
}

// UpdateUser changes the profile of a user.
func (c *Client) UpdateUser(ctx context.Context, name string, version Version, profile types.ProfileChange,
	opts *ChangeOptions) (types.User, Version, error) {
	return change[types.User](ctx, c, call{method: http.MethodPatch, path: path("users", name), query: opts.query(),
		version: version, in: profile})
}

// RenameUser gives a user another name. The former name still belongs to the user. version may be "".
func (c *Client) RenameUser(ctx context.Context, name string, version Version, to string,
	opts *ChangeOptions) (types.User, Version, error) {
	return c.renamed(ctx, "users", name, "rename", version, to, opts)
}

// ReleaseUserName ends the claim of a user to a former name. version may be "".
func (c *Client) ReleaseUserName(ctx context.Context, name string, version Version, former string,
	opts *ChangeOptions) (types.User, Version, error) {
	return c.renamed(ctx, "users", name, "release", version, former, opts)
}

// renamed changes one of the names of a user.
func (c *Client) renamed(ctx context.Context, kind, name, action string, version Version, other string,
	opts *ChangeOptions) (types.User, Version, error) {
	return change[types.User](ctx, c, call{method: http.MethodPost, path: path(kind, name, action), query: opts.query(),
		version: version, in: types.Name{Name: other}})
}

// DisableUser ends all logins, tokens and sessions of a user until [Client.EnableUser]. version may be "".
func (c *Client) DisableUser(ctx context.Context, name string, version Version,
	opts *ChangeOptions) (types.User, Version, error) {
	return change[types.User](ctx, c, call{method: http.MethodPost, path: path("users", name, "disable"),
		query: opts.query(), version: version})
}

// EnableUser ends the effect of [Client.DisableUser]. version may be "".
func (c *Client) EnableUser(ctx context.Context, name string, version Version,
	opts *ChangeOptions) (types.User, Version, error) {
	return change[types.User](ctx, c, call{method: http.MethodPost, path: path("users", name, "enable"),
		query: opts.query(), version: version})
}

// DeleteUser removes a user.
func (c *Client) DeleteUser(ctx context.Context, name string, version Version, opts *ChangeOptions) error {
	return c.done(ctx, call{method: http.MethodDelete, path: path("users", name), query: opts.query(), version: version})
}

// SetPassword sets the password of any user.
func (c *Client) SetPassword(ctx context.Context, name string, version Version, password string,
	opts *ChangeOptions) error {
	return c.done(ctx, call{method: http.MethodPut, path: path("users", name, "password"), query: opts.query(),
		version: version, in: types.Password{Password: password}})
}

// RemovePassword removes the password of a user, who can then log in with tokens or through a provider only.
func (c *Client) RemovePassword(ctx context.Context, name string, version Version, opts *ChangeOptions) error {
	return c.done(ctx, call{method: http.MethodDelete, path: path("users", name, "password"), query: opts.query(),
		version: version})
}

// Memberships lists the organisations of a user.
func (c *Client) Memberships(ctx context.Context, user string) iter.Seq2[types.Membership, error] {
	return list[types.Membership](ctx, c, path("users", user, "memberships"), nil)
}

// Admins returns the admins of the registry.
func (c *Client) Admins(ctx context.Context) ([]types.Admin, error) {
	all, _, err := get[types.AdminList](ctx, c, path("admins"), nil)
	return all.Items, err
}

// AddAdmin makes a user an admin of the registry. A repetition is not an error.
func (c *Client) AddAdmin(ctx context.Context, user string, opts *ChangeOptions) error {
	return c.done(ctx, call{method: http.MethodPut, path: path("admins", user), query: opts.query()})
}

// RemoveAdmin makes an admin a user like the others. The last admin cannot be removed.
func (c *Client) RemoveAdmin(ctx context.Context, user string, opts *ChangeOptions) error {
	return c.done(ctx, call{method: http.MethodDelete, path: path("admins", user), query: opts.query()})
}
