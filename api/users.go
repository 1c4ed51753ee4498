package api

import (
	"context"
	"iter"
	"time"
	"unicode/utf8"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
)

// manageAccounts and readAccounts are the permissions of admins for all accounts.
var (
	manageAccounts = needs(auth.TypeRegistry, auth.NameAccounts, auth.Manage)
	readAccounts   = needs(auth.TypeRegistry, auth.NameAccounts, auth.Read)
)

// userRoutes are the routes of the part users. A user reads and changes the own profile. Everything else is for admins.
func (a *API) userRoutes() []route {
	const user = "/v1/users/{user}"
	read := needs(auth.TypeAccount, "{user}", auth.Read)
	return []route{
		{method: "GET", path: "/v1/users", access: readAccounts, handle: listUsers},
		{method: "POST", path: "/v1/users", access: forced(manageAccounts), handle: createUser},
		{method: "GET", path: user, access: read, handle: getUser},
		{method: "PATCH", path: user, access: needs(auth.TypeAccount, "{user}", auth.Manage), conditional: true,
			handle: updateUser},
		{method: "DELETE", path: user, access: manageAccounts, conditional: true, handle: deleteUser},
		{method: "POST", path: user + "/rename", access: forced(manageAccounts), handle: renameUser},
		{method: "POST", path: user + "/release", access: forced(manageAccounts), handle: releaseUserName},
		{method: "POST", path: user + "/disable", access: manageAccounts, handle: disableUser},
		{method: "POST", path: user + "/enable", access: manageAccounts, handle: enableUser},
		{method: "PUT", path: user + "/password", access: withoutToken(manageAccounts), conditional: true,
			handle: setPassword},
		{method: "DELETE", path: user + "/password", access: withoutToken(manageAccounts), conditional: true,
			handle: deletePassword},
		{method: "GET", path: user + "/memberships", access: read, handle: listMemberships},
	}
}

// userOf returns a user as the API shows it.
func userOf(acc *accounts.Account) types.User {
	return types.User{
		ID: string(acc.ID), Name: acc.Name, FormerNames: acc.Former, FullName: acc.FullName, Email: acc.Email,
		Visibility: visibilityOf(acc), Created: acc.Created.UTC(), Disabled: markOf(acc.Disabled),
	}
}

// visibilityOf returns the visibility of the repositories of a namespace.
func visibilityOf(acc *accounts.Account) string {
	if acc.Visibility == "" {
		return string(accounts.Private)
	}
	return string(acc.Visibility)
}

func markOf(m *accounts.Mark) *types.Mark {
	if m == nil {
		return nil
	}
	return &types.Mark{By: m.By, At: m.At.UTC(), Reason: m.Reason}
}

// matchUser is match for Actor.If.
func (q *request) matchUser(current *accounts.Account) error { return q.match(userOf(current)) }

// maxNamePrefix is the maximum length of the beginning of a name, in characters.
const maxNamePrefix = 39

func listUsers(q *request) (*response, error) {
	if err := q.only("limit", "after", "q", "disabled"); err != nil {
		return nil, err
	}
	disabled, err := q.boolean("disabled")
	if err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(q.query.Get("q")) > maxNamePrefix {
		return nil, errInvalid.WithMessage("q is longer than any name")
	}
	filtered := q.query.Has("disabled")
	list := func(ctx context.Context, after string) iter.Seq2[*accounts.Account, error] {
		return q.api.opts.Accounts.ListPrefix(ctx, q.query.Get("q"), after)
	}
	page, next, err := q.accountPage(list, func(acc *accounts.Account) bool {
		return acc.Kind == accounts.User && (!filtered || disabled == (acc.Disabled != nil))
	})
	if err != nil {
		return nil, err
	}
	users := types.UserList{Items: make([]types.User, len(page))}
	for i, acc := range page {
		users.Items[i] = userOf(acc)
	}
	return &response{body: users, next: next}, nil
}

func createUser(q *request) (*response, error) {
	by, err := q.change("reason", "force")
	if err != nil {
		return nil, err
	}
	var body types.NewUser
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	if body.Password != "" {
		if err := q.mayLast(time.Time{}); err != nil {
			return nil, err
		}
	}
	acc, err := q.api.opts.Accounts.CreateUser(q.Context(), by, body.Name, body.Password, &accounts.UserOptions{
		Profile: accounts.Profile{FullName: body.FullName, Email: body.Email,
			Visibility: accounts.Visibility(body.Visibility)},
	})
	if err != nil {
		return nil, err
	}
	return createdUser(acc), nil
}

// createdUser returns the response with a new user.
func createdUser(acc *accounts.Account) *response { return created("/v1/users/"+acc.Name, userOf(acc)) }

func getUser(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	acc, err := q.accountAt("user", accounts.User)
	if err != nil {
		return nil, err
	}
	return found(userOf(acc)), nil
}

// changeUser makes a change of the user in the path. The change must use the Actor, which has the condition.
func changeUser(q *request, change func(by accounts.Actor, id accounts.ID) (*accounts.Account, error),
	params ...string) (*response, error) {
	by, err := q.change(params...)
	if err != nil {
		return nil, err
	}
	acc, err := q.accountAt("user", accounts.User)
	if err != nil {
		return nil, err
	}
	by.If = q.matchUser
	if acc, err = change(by, acc.ID); err != nil {
		return nil, err
	}
	return found(userOf(acc)), nil
}

func updateUser(q *request) (*response, error) {
	var body types.ProfileChange
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	return changeUser(q, func(by accounts.Actor, id accounts.ID) (*accounts.Account, error) {
		return q.api.opts.Accounts.Update(q.Context(), by, id, func(p *accounts.Profile) error {
			applyProfile(p, &body)
			return nil
		})
	}, "reason")
}

// applyProfile makes the changes of a profile that a body contains.
func applyProfile(p *accounts.Profile, body *types.ProfileChange) {
	set(&p.FullName, body.FullName)
	set(&p.Email, body.Email)
	if body.Visibility != nil && *body.Visibility != "" {
		p.Visibility = accounts.Visibility(*body.Visibility)
	}
}

func renameUser(q *request) (*response, error) {
	var body types.Name
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	return changeUser(q, func(by accounts.Actor, id accounts.ID) (*accounts.Account, error) {
		return q.api.opts.Accounts.Rename(q.Context(), by, id, body.Name)
	}, "reason", "force")
}

func releaseUserName(q *request) (*response, error) {
	var body types.Name
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	return changeUser(q, func(by accounts.Actor, id accounts.ID) (*accounts.Account, error) {
		return q.api.opts.Accounts.Release(q.Context(), by, id, body.Name)
	}, "reason", "force")
}

func disableUser(q *request) (*response, error) {
	return changeUser(q, func(by accounts.Actor, id accounts.ID) (*accounts.Account, error) {
		acc, err := q.api.opts.Accounts.Disable(q.Context(), by, id)
		if err == nil {
			err = q.endSessions(id)
		}
		return acc, err
	}, "reason")
}

// endSessions ends the sessions of a user, if the registry has any. Sessions of a disabled user and sessions before a
// new password are refused anyway; this call makes that final.
func (q *request) endSessions(id accounts.ID) error {
	if q.api.opts.Sessions == nil {
		return nil
	}
	_, err := q.api.opts.Sessions.RevokeAll(q.Context(), id, "")
	return err
}

func enableUser(q *request) (*response, error) {
	return changeUser(q, func(by accounts.Actor, id accounts.ID) (*accounts.Account, error) {
		return q.api.opts.Accounts.Enable(q.Context(), by, id)
	}, "reason")
}

func deleteUser(q *request) (*response, error) {
	by, err := q.change("reason")
	if err != nil {
		return nil, err
	}
	acc, err := q.accountAt("user", accounts.User)
	if err != nil {
		return nil, err
	}
	by.If = q.matchUser
	if err := q.api.opts.Accounts.Remove(q.Context(), by, acc.ID); err != nil {
		return nil, err
	}
	if !q.matched { // another request has removed the user meanwhile
		return nil, errNotFound
	}
	if err := q.endSessions(acc.ID); err != nil {
		return nil, err
	}
	return done(), nil
}
