package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth/accounts"
)

// remote is the accounts of a hub as an accounts.Manager, so that the commands are the same for a storage and for a
// hub. The API names accounts by their names: remote remembers the name and the kind of each ID that it has returned.
type remote struct {
	c     *client.Client
	known map[accounts.ID]*accounts.Account
}

var _ accounts.Manager = (*remote)(nil)

func newRemote(c *client.Client) *remote { return &remote{c, map[accounts.ID]*accounts.Account{}} }

// errOnlyStorage is returned for what a hub does not offer.
var errOnlyStorage = misusef("a hub does not offer this: use -storage")

// remoteErrors are the errors of package accounts by the codes of the API.
var remoteErrors = map[string]error{
	"TAKEN": accounts.ErrTaken, "LAST": accounts.ErrLast, "IN_USE": accounts.ErrInUse, "LIMIT": accounts.ErrLimit,
	"INVALID": accounts.ErrInvalid, "NOT_FOUND": accounts.ErrUnknown, "WRONG_SETUP_TOKEN": accounts.ErrSetup,
	"NOT_RECORDED": accounts.ErrNotified,
}

// translate returns an error of the API as one of package accounts, if there is one for it.
func translate(err error) error {
	var e *client.Error
	if !errors.As(err, &e) {
		return err
	}
	if as := remoteErrors[e.Code]; as != nil {
		if e.Detail == "" {
			return as
		}
		return fmt.Errorf("%w: %s", as, strings.TrimPrefix(e.Detail, strings.TrimPrefix(as.Error(), "accounts: ")+": "))
	}
	return err
}

// options returns the options of a change.
func options(by accounts.Actor) *client.ChangeOptions {
	return &client.ChangeOptions{Reason: by.Reason, Force: by.Force}
}

// remember keeps the name of an account.
func (r *remote) remember(a *accounts.Account, err error) (*accounts.Account, error) {
	if err != nil {
		return nil, translate(err)
	}
	r.known[a.ID] = a
	return a, nil
}

// name returns the name and kind of an account by its ID.
func (r *remote) name(id accounts.ID) (string, accounts.Kind, error) {
	a := r.known[id]
	if a == nil {
		return "", "", accounts.ErrUnknown
	}
	return a.Name, a.Kind, nil
}

// mark returns a mark of the API as one of package accounts.
func mark(m *types.Mark) *accounts.Mark {
	if m == nil {
		return nil
	}
	return &accounts.Mark{By: m.By, At: m.At, Reason: m.Reason}
}

func userOf(u types.User) *accounts.Account {
	return &accounts.Account{ID: accounts.ID(u.ID), Kind: accounts.User, Name: u.Name, Former: u.FormerNames,
		FullName: u.FullName, Email: u.Email, Created: u.Created, Disabled: mark(u.Disabled),
		Visibility: accounts.Visibility(u.Visibility)}
}

func organisationOf(o types.Organisation) *accounts.Account {
	return &accounts.Account{ID: accounts.ID(o.ID), Kind: accounts.Organisation, Name: o.Name, Former: o.FormerNames,
		FullName: o.FullName, Email: o.Email, Created: o.Created, Disabled: mark(o.Disabled),
		Visibility: accounts.Visibility(o.Visibility)}
}

func robotOf(namespace accounts.ID, v types.Robot) *accounts.Account {
	return &accounts.Account{ID: accounts.ID(v.ID), Kind: accounts.Robot, Name: v.Name, Namespace: namespace,
		Created: v.Created, Disabled: mark(v.Disabled), Grants: grantsOf(v.Grants)}
}

func grantsOf(all []types.Grant) []accounts.Grant {
	var grants []accounts.Grant
	for _, g := range all {
		grants = append(grants, accounts.Grant{Repositories: g.Repositories, Role: accounts.Role(g.Role)})
	}
	return grants
}

// grantsFor returns grants for the API. The result is not nil.
func grantsFor(all []accounts.Grant) []types.Grant {
	grants := []types.Grant{}
	for _, g := range all {
		grants = append(grants, types.Grant{Repositories: g.Repositories, Role: string(g.Role)})
	}
	return grants
}

// Lookup returns the account with a name.
func (r *remote) Lookup(ctx context.Context, name string) (*accounts.Account, error) {
	if namespace, robot, ok := strings.Cut(name, "+"); ok {
		owner, err := r.Lookup(ctx, namespace)
		if err != nil {
			return nil, err
		}
		v, _, err := r.c.Robot(ctx, owner.Name, robot)
		return r.remember(robotOf(owner.ID, v), err)
	}
	u, _, err := r.c.User(ctx, name)
	if !errors.Is(err, client.ErrNotFound) && !errors.Is(err, client.ErrDenied) {
		return r.remember(userOf(u), err)
	}
	o, _, oerr := r.c.Organisation(ctx, name)
	if oerr != nil {
		return nil, translate(errors.Join(oerr, err))
	}
	a := organisationOf(o)
	owners, err := r.c.Owners(ctx, name)
	for _, owner := range owners {
		u, err := r.Lookup(ctx, owner)
		if err != nil {
			return nil, err
		}
		a.Owners = append(a.Owners, u.ID)
	}
	return r.remember(a, err)
}

// Find is Lookup: the API reads from the storage, and remembers no account for long.
func (r *remote) Find(ctx context.Context, name string) (*accounts.Account, error) {
	return r.Lookup(ctx, name)
}

// Account returns an account that was returned before.
func (r *remote) Account(_ context.Context, id accounts.ID) (*accounts.Account, error) {
	if a := r.known[id]; a != nil {
		return a, nil
	}
	return nil, accounts.ErrUnknown
}

// List yields the users, and then the organisations. after is a name.
func (r *remote) List(ctx context.Context, after string) iter.Seq2[*accounts.Account, error] {
	return func(yield func(*accounts.Account, error) bool) {
		for u, err := range r.c.Users(ctx, nil) {
			if (err != nil || u.Name > after) && !yield(r.remember(userOf(u), err)) {
				return
			}
		}
		for o, err := range r.ListOrganisations(ctx, after) {
			if !yield(o, err) {
				return
			}
		}
	}
}

// ListOrganisations yields the organisations. after is a name.
func (r *remote) ListOrganisations(ctx context.Context, after string) iter.Seq2[*accounts.Account, error] {
	return func(yield func(*accounts.Account, error) bool) {
		for o, err := range r.c.Organisations(ctx) {
			if (err != nil || o.Name > after) && !yield(r.remember(organisationOf(o), err)) {
				return
			}
		}
	}
}

// ListPrefix yields the users, and then the organisations, whose name begins with a prefix. after is a name.
func (r *remote) ListPrefix(ctx context.Context, prefix, after string) iter.Seq2[*accounts.Account, error] {
	return func(yield func(*accounts.Account, error) bool) {
		for a, err := range r.List(ctx, after) {
			if (err != nil || strings.HasPrefix(a.Name, prefix)) && !yield(a, err) {
				return
			}
		}
	}
}

// The facts that only the registry itself needs.

func (r *remote) CheckPassword(context.Context, accounts.ID, string) (string, error) {
	return "", errOnlyStorage
}
func (r *remote) PasswordVersion(context.Context, accounts.ID) (string, error) {
	return "", errOnlyStorage
}
func (r *remote) Grants(context.Context, accounts.ID, accounts.ID) ([]accounts.Grant, error) {
	return nil, errOnlyStorage
}
func (r *remote) Export(context.Context, io.Writer) error { return errOnlyStorage }
func (r *remote) Import(context.Context, accounts.Actor, io.Reader, *accounts.ImportOptions) (accounts.ImportResult,
	error) {
	return accounts.ImportResult{}, errOnlyStorage
}

// IsAdmin reports whether an account is an admin of the registry.
func (r *remote) IsAdmin(ctx context.Context, id accounts.ID) (bool, error) {
	all, err := r.c.Admins(ctx)
	if errors.Is(err, client.ErrDenied) {
		return false, nil // only admins see the list
	}
	for _, a := range all {
		if accounts.ID(a.ID) == id {
			return true, nil
		}
	}
	return false, translate(err)
}

// Groups returns the organisations and teams of a user.
func (r *remote) Groups(ctx context.Context, id accounts.ID) ([]string, error) {
	name, _, err := r.name(id)
	if err != nil {
		return nil, err
	}
	var groups []string
	for m, err := range r.c.Memberships(ctx, name) {
		if err != nil {
			return nil, translate(err)
		}
		groups = append(groups, m.Organisation)
		if m.Owner {
			groups = append(groups, m.Organisation+"/owners")
		}
		for _, team := range m.Teams {
			groups = append(groups, m.Organisation+"/"+team)
		}
	}
	return groups, nil
}

// again calls f with the version of an object, and once more if the object has changed meanwhile.
func again(f func() error) error {
	var err error
	for range 5 {
		var e *client.Error
		if err = f(); !errors.As(err, &e) || e.Status != http.StatusPreconditionFailed {
			break
		}
	}
	return translate(err)
}

// robotName splits the name of a robot.
func robotName(name string) (namespace, robot string) {
	namespace, robot, _ = strings.Cut(name, "+")
	return namespace, robot
}
