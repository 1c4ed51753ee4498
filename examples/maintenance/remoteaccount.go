package main

import (
	"context"
	"errors"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth/accounts"
)

// profileFor returns the profile of a new account for the API.
func profileFor(opts *accounts.UserOptions) accounts.Profile {
	if opts == nil {
		return accounts.Profile{}
	}
	return opts.Profile
}

// CreateUser creates a user.
func (r *remote) CreateUser(ctx context.Context, by accounts.Actor, name, password string,
	opts *accounts.UserOptions) (*accounts.Account, error) {
	p := profileFor(opts)
	u, _, err := r.c.CreateUser(ctx, types.NewUser{Name: name, Password: password, FullName: p.FullName, Email: p.Email,
		Visibility: string(p.Visibility)}, options(by))
	return r.remember(userOf(u), err)
}

// CreateOrganisation creates an organisation.
func (r *remote) CreateOrganisation(ctx context.Context, by accounts.Actor, name string, owner accounts.ID,
	opts *accounts.UserOptions) (*accounts.Account, error) {
	who, _, err := r.name(owner)
	if err != nil {
		return nil, err
	}
	p := profileFor(opts)
	o, _, err := r.c.CreateOrganisation(ctx, types.NewOrganisation{Name: name, Owner: who, FullName: p.FullName,
		Email: p.Email, Visibility: string(p.Visibility)}, options(by))
	return r.remember(organisationOf(o), err)
}

// Update changes the profile of a user or organisation.
func (r *remote) Update(ctx context.Context, by accounts.Actor, id accounts.ID,
	change func(*accounts.Profile) error) (a *accounts.Account, err error) {
	err = again(func() error {
		var version client.Version
		if a, version, err = r.read(ctx, id); err != nil {
			return err
		}
		p := accounts.Profile{FullName: a.FullName, Email: a.Email, Visibility: a.Visibility}
		if err := change(&p); err != nil {
			return err
		}
		visibility := string(p.Visibility)
		to := types.ProfileChange{FullName: &p.FullName, Email: &p.Email, Visibility: &visibility}
		if a.Kind == accounts.Organisation {
			o, _, uerr := r.c.UpdateOrganisation(ctx, a.Name, version, to, options(by))
			a, err = organisationOf(o), uerr
			return err
		}
		u, _, uerr := r.c.UpdateUser(ctx, a.Name, version, to, options(by))
		a, err = userOf(u), uerr
		return err
	})
	return r.remember(a, err)
}

// read returns an account with its version.
func (r *remote) read(ctx context.Context, id accounts.ID) (*accounts.Account, client.Version, error) {
	name, kind, err := r.name(id)
	switch {
	case err != nil:
		return nil, "", err
	case kind == accounts.Organisation:
		o, version, err := r.c.Organisation(ctx, name)
		return organisationOf(o), version, err
	case kind == accounts.Robot:
		namespace, robot := robotName(name)
		v, version, err := r.c.Robot(ctx, namespace, robot)
		return robotOf(r.known[id].Namespace, v), version, err
	}
	u, version, err := r.c.User(ctx, name)
	return userOf(u), version, err
}

// Rename gives a user or organisation another name.
func (r *remote) Rename(ctx context.Context, by accounts.Actor, id accounts.ID, to string) (*accounts.Account, error) {
	name, kind, err := r.name(id)
	switch {
	case err != nil:
		return nil, err
	case kind == accounts.Organisation:
		o, _, err := r.c.RenameOrganisation(ctx, name, "", to, options(by))
		return r.remember(organisationOf(o), err)
	}
	u, _, err := r.c.RenameUser(ctx, name, "", to, options(by))
	return r.remember(userOf(u), err)
}

// Release gives up a former name.
func (r *remote) Release(ctx context.Context, by accounts.Actor, id accounts.ID,
	former string) (*accounts.Account, error) {
	name, kind, err := r.name(id)
	switch {
	case err != nil:
		return nil, err
	case kind == accounts.Organisation:
		o, _, err := r.c.ReleaseOrganisationName(ctx, name, "", former, options(by))
		return r.remember(organisationOf(o), err)
	}
	u, _, err := r.c.ReleaseUserName(ctx, name, "", former, options(by))
	return r.remember(userOf(u), err)
}

// Disable disables an account.
func (r *remote) Disable(ctx context.Context, by accounts.Actor, id accounts.ID) (*accounts.Account, error) {
	name, kind, err := r.name(id)
	switch {
	case err != nil:
		return nil, err
	case kind == accounts.Organisation:
		o, _, err := r.c.DisableOrganisation(ctx, name, "", options(by))
		return r.remember(organisationOf(o), err)
	case kind == accounts.Robot:
		namespace, robot := robotName(name)
		v, _, err := r.c.DisableRobot(ctx, namespace, robot, "", options(by))
		return r.remember(robotOf(r.known[id].Namespace, v), err)
	}
	u, _, err := r.c.DisableUser(ctx, name, "", options(by))
	return r.remember(userOf(u), err)
}

// Enable enables an account.
func (r *remote) Enable(ctx context.Context, by accounts.Actor, id accounts.ID) (*accounts.Account, error) {
	name, kind, err := r.name(id)
	switch {
	case err != nil:
		return nil, err
	case kind == accounts.Organisation:
		o, _, err := r.c.EnableOrganisation(ctx, name, "", options(by))
		return r.remember(organisationOf(o), err)
	case kind == accounts.Robot:
		namespace, robot := robotName(name)
		v, _, err := r.c.EnableRobot(ctx, namespace, robot, "", options(by))
		return r.remember(robotOf(r.known[id].Namespace, v), err)
	}
	u, _, err := r.c.EnableUser(ctx, name, "", options(by))
	return r.remember(userOf(u), err)
}

// Remove removes an account. Its repositories stay.
func (r *remote) Remove(ctx context.Context, by accounts.Actor, id accounts.ID) error {
	return again(func() error {
		a, version, err := r.read(ctx, id)
		if err != nil {
			return err
		}
		switch a.Kind {
		case accounts.Organisation:
			return r.c.DeleteOrganisation(ctx, a.Name, version, client.KeepRepositories, options(by))
		case accounts.Robot:
			namespace, robot := robotName(a.Name)
			return r.c.DeleteRobot(ctx, namespace, robot, version, options(by))
		}
		return r.c.DeleteUser(ctx, a.Name, version, options(by))
	})
}

// SetPassword sets or removes the password of a user.
func (r *remote) SetPassword(ctx context.Context, by accounts.Actor, id accounts.ID, password string) error {
	name, _, err := r.name(id)
	switch {
	case err != nil:
		return err
	case password == "":
		return translate(r.c.RemovePassword(ctx, name, client.AnyVersion, options(by)))
	}
	return translate(r.c.SetPassword(ctx, name, client.AnyVersion, password, options(by)))
}

// Admins returns the admins of the registry.
func (r *remote) Admins(ctx context.Context) ([]accounts.ID, error) {
	all, err := r.c.Admins(ctx)
	if err != nil {
		return nil, translate(err)
	}
	var ids []accounts.ID
	for _, a := range all {
		u, err := r.Lookup(ctx, a.Name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, u.ID)
	}
	return ids, nil
}

// AddAdmin makes a user an admin.
func (r *remote) AddAdmin(ctx context.Context, by accounts.Actor, id accounts.ID) error {
	name, _, err := r.name(id)
	if err != nil {
		return err
	}
	return translate(r.c.AddAdmin(ctx, name, options(by)))
}

// RemoveAdmin makes an admin a user like the others.
func (r *remote) RemoveAdmin(ctx context.Context, by accounts.Actor, id accounts.ID) error {
	name, _, err := r.name(id)
	if err != nil {
		return err
	}
	return translate(r.c.RemoveAdmin(ctx, name, options(by)))
}

// Visibility returns the visibility that was set for a repository, or "".
func (r *remote) Visibility(ctx context.Context, repository string) (accounts.Visibility, error) {
	v, err := r.Repository(ctx, repository)
	if errors.Is(err, accounts.ErrUnknown) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return v.Visibility, nil
}

// Repository returns the settings of a repository.
func (r *remote) Repository(ctx context.Context, name string) (*accounts.Repository, error) {
	v, _, err := r.c.Repository(ctx, name)
	if err != nil {
		return nil, translate(err)
	}
	return &accounts.Repository{Name: v.Name, Visibility: accounts.Visibility(v.Visibility),
		Description: v.Description}, nil
}

// UpdateRepository changes the settings of a repository.
func (r *remote) UpdateRepository(ctx context.Context, _ accounts.Actor, name string,
	change func(*accounts.Repository) error) (*accounts.Repository, error) {
	s := &accounts.Repository{}
	err := again(func() error {
		v, version, err := r.c.Repository(ctx, name)
		if err != nil {
			return err
		}
		*s = accounts.Repository{Name: v.Name, Visibility: accounts.Visibility(v.Visibility), Description: v.Description}
		if err := change(s); err != nil {
			return err
		}
		visibility := string(s.Visibility)
		_, _, err = r.c.UpdateRepository(ctx, name, version, types.RepositoryChange{Visibility: &visibility,
			Description: &s.Description})
		return err
	})
	return s, err
}
