package main

import (
	"context"
	"iter"
	"time"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
)

// pair calls do with the names of an organisation and a user.
func (r *remote) pair(organisation, user accounts.ID, do func(organisation, user string) error) error {
	o, _, err := r.name(organisation)
	if err != nil {
		return err
	}
	u, _, err := r.name(user)
	if err != nil {
		return err
	}
	return translate(do(o, u))
}

// AddOwner makes a user an owner.
func (r *remote) AddOwner(ctx context.Context, by accounts.Actor, organisation, user accounts.ID) error {
	return r.pair(organisation, user, func(o, u string) error { return r.c.AddOwner(ctx, o, u, options(by)) })
}

// RemoveOwner makes an owner a member like the others.
func (r *remote) RemoveOwner(ctx context.Context, by accounts.Actor, organisation, user accounts.ID) error {
	return r.pair(organisation, user, func(o, u string) error { return r.c.RemoveOwner(ctx, o, u, options(by)) })
}

// AddMember makes a user a member.
func (r *remote) AddMember(ctx context.Context, by accounts.Actor, organisation, user accounts.ID) error {
	return r.pair(organisation, user, func(o, u string) error { return r.c.AddMember(ctx, o, u, options(by)) })
}

// RemoveMember ends a membership.
func (r *remote) RemoveMember(ctx context.Context, by accounts.Actor, organisation, user accounts.ID) error {
	return r.pair(organisation, user, func(o, u string) error { return r.c.RemoveMember(ctx, o, u, options(by)) })
}

// JoinTeam puts a user into a team.
func (r *remote) JoinTeam(ctx context.Context, by accounts.Actor, organisation accounts.ID, team string,
	user accounts.ID) error {
	return r.pair(organisation, user, func(o, u string) error { return r.c.JoinTeam(ctx, o, team, u, options(by)) })
}

// LeaveTeam takes a user out of a team.
func (r *remote) LeaveTeam(ctx context.Context, by accounts.Actor, organisation accounts.ID, team string,
	user accounts.ID) error {
	return r.pair(organisation, user, func(o, u string) error { return r.c.LeaveTeam(ctx, o, team, u, options(by)) })
}

// Members yields all members. The API pages them by itself, so after must be "".
func (r *remote) Members(ctx context.Context, organisation, _ accounts.ID) iter.Seq2[*accounts.Member, error] {
	return func(yield func(*accounts.Member, error) bool) {
		name, _, err := r.name(organisation)
		if err != nil {
			yield(nil, err)
			return
		}
		for m, err := range r.c.Members(ctx, name) {
			var user *accounts.Account
			if err == nil {
				user, err = r.Lookup(ctx, m.User)
			}
			if err != nil {
				yield(nil, translate(err))
				return
			}
			if !yield(&accounts.Member{Organisation: organisation, User: user.ID, Owner: m.Owner, Teams: m.Teams,
				Since: m.Since}, nil) {
				return
			}
		}
	}
}

// Member returns a member of an organisation.
func (r *remote) Member(ctx context.Context, organisation, user accounts.ID) (m *accounts.Member, err error) {
	err = r.pair(organisation, user, func(o, u string) error {
		v, err := r.c.Member(ctx, o, u)
		m = &accounts.Member{Organisation: organisation, User: user, Owner: v.Owner, Teams: v.Teams, Since: v.Since}
		return err
	})
	return m, err
}

// Memberships yields the organisations of a user. The API pages them by itself, so after must be "".
func (r *remote) Memberships(ctx context.Context, user, _ accounts.ID) iter.Seq2[*accounts.Member, error] {
	return func(yield func(*accounts.Member, error) bool) {
		name, _, err := r.name(user)
		if err != nil {
			yield(nil, err)
			return
		}
		for m, err := range r.c.Memberships(ctx, name) {
			var org *accounts.Account
			if err == nil {
				org, err = r.Lookup(ctx, m.Organisation)
			}
			if err != nil {
				yield(nil, translate(err))
				return
			}
			if !yield(&accounts.Member{Organisation: org.ID, User: user, Owner: m.Owner, Teams: m.Teams,
				Since: m.Since}, nil) {
				return
			}
		}
	}
}

func teamOf(t types.Team) accounts.Team {
	return accounts.Team{ID: accounts.ID(t.ID), Name: t.Name, Description: t.Description, Created: t.Created,
		Grants: grantsOf(t.Grants)}
}

// Teams returns the teams of an organisation.
func (r *remote) Teams(ctx context.Context, organisation accounts.ID) ([]accounts.Team, error) {
	name, _, err := r.name(organisation)
	if err != nil {
		return nil, err
	}
	teams := []accounts.Team{}
	for t, err := range r.c.Teams(ctx, name) {
		if err != nil {
			return nil, translate(err)
		}
		teams = append(teams, teamOf(t))
	}
	return teams, nil
}

// Team returns a team of an organisation.
func (r *remote) Team(ctx context.Context, organisation accounts.ID, team string) (*accounts.Team, error) {
	name, _, err := r.name(organisation)
	if err != nil {
		return nil, err
	}
	v, _, err := r.c.Team(ctx, name, team)
	t := teamOf(v)
	return &t, translate(err)
}

// TeamsAfter yields the teams of an organisation whose name is after the given one.
func (r *remote) TeamsAfter(ctx context.Context, organisation accounts.ID,
	after string) iter.Seq2[*accounts.Team, error] {
	return func(yield func(*accounts.Team, error) bool) {
		teams, err := r.Teams(ctx, organisation)
		if err != nil {
			yield(nil, err)
			return
		}
		for i := range teams {
			if teams[i].Name > after && !yield(&teams[i], nil) {
				return
			}
		}
	}
}

// CreateTeam creates a team.
func (r *remote) CreateTeam(ctx context.Context, by accounts.Actor, organisation accounts.ID, team string,
	opts *accounts.TeamOptions) (*accounts.Team, error) {
	name, _, err := r.name(organisation)
	if err != nil {
		return nil, err
	}
	t := types.NewTeam{Name: team}
	if opts != nil {
		t.Description, t.Grants = opts.Description, grantsFor(opts.Grants)
	}
	made, _, err := r.c.CreateTeam(ctx, name, t, options(by))
	as := teamOf(made)
	return &as, translate(err)
}

// UpdateTeam changes the description and the grants of a team.
func (r *remote) UpdateTeam(ctx context.Context, by accounts.Actor, organisation accounts.ID, team string,
	change func(*accounts.Team) error) (*accounts.Team, error) {
	name, _, err := r.name(organisation)
	if err != nil {
		return nil, err
	}
	var t accounts.Team
	err = again(func() error {
		read, version, err := r.c.Team(ctx, name, team)
		if err != nil {
			return err
		}
		t = teamOf(read)
		if err := change(&t); err != nil {
			return err
		}
		grants := grantsFor(t.Grants)
		read, _, err = r.c.UpdateTeam(ctx, name, team, version, types.TeamChange{Description: &t.Description,
			Grants: &grants}, options(by))
		t = teamOf(read)
		return err
	})
	return &t, err
}

// RemoveTeam removes a team.
func (r *remote) RemoveTeam(ctx context.Context, by accounts.Actor, organisation accounts.ID, team string) error {
	name, _, err := r.name(organisation)
	if err != nil {
		return err
	}
	return again(func() error {
		_, version, err := r.c.Team(ctx, name, team)
		if err != nil {
			return err
		}
		return r.c.DeleteTeam(ctx, name, team, version, options(by))
	})
}

// Robots yields the robots of a namespace whose name is after the given one.
func (r *remote) Robots(ctx context.Context, namespace accounts.ID,
	after string) iter.Seq2[*accounts.Account, error] {
	return func(yield func(*accounts.Account, error) bool) {
		name, _, err := r.name(namespace)
		if err != nil {
			yield(nil, err)
			return
		}
		for v, err := range r.c.Robots(ctx, name) {
			if (err != nil || v.Name > after) && !yield(r.remember(robotOf(namespace, v), err)) {
				return
			}
		}
	}
}

// CreateRobot creates a robot.
func (r *remote) CreateRobot(ctx context.Context, by accounts.Actor, namespace accounts.ID, robot string,
	grants []accounts.Grant) (*accounts.Account, error) {
	name, _, err := r.name(namespace)
	if err != nil {
		return nil, err
	}
	v, _, err := r.c.CreateRobot(ctx, name, types.NewRobot{Name: robot, Grants: grantsFor(grants)}, options(by))
	return r.remember(robotOf(namespace, v), err)
}

// UpdateRobot replaces the grants of a robot.
func (r *remote) UpdateRobot(ctx context.Context, by accounts.Actor, id accounts.ID,
	grants []accounts.Grant) (a *accounts.Account, err error) {
	to := grantsFor(grants)
	err = again(func() error {
		read, version, err := r.read(ctx, id)
		if err != nil {
			return err
		}
		namespace, robot := robotName(read.Name)
		v, _, err := r.c.UpdateRobot(ctx, namespace, robot, version, types.RobotChange{Grants: &to}, options(by))
		a = robotOf(read.Namespace, v)
		return err
	})
	return r.remember(a, err)
}

func secretOf(owner accounts.ID, t types.Token) accounts.Secret {
	return accounts.Secret{ID: t.ID, Owner: owner, Name: t.Name, Created: t.Created, Expires: t.Expires,
		Rotated: t.ReplacedBy, Scopes: grantsOf(t.Scopes), LastUsed: t.LastUsed}
}

// Secret returns a token of an account.
func (r *remote) Secret(ctx context.Context, owner accounts.ID, id string) (*accounts.Secret, error) {
	name, _, err := r.name(owner)
	if err != nil {
		return nil, err
	}
	t, _, err := r.c.Token(ctx, name, id)
	s := secretOf(owner, t)
	return &s, translate(err)
}

// Secrets yields the tokens of an account.
func (r *remote) Secrets(ctx context.Context, owner accounts.ID) iter.Seq2[*accounts.Secret, error] {
	return func(yield func(*accounts.Secret, error) bool) {
		name, _, err := r.name(owner)
		var all []types.Token
		if err == nil {
			all, err = r.c.Tokens(ctx, name)
		}
		if err != nil {
			yield(nil, translate(err))
			return
		}
		for _, t := range all {
			s := secretOf(owner, t)
			if !yield(&s, nil) {
				return
			}
		}
	}
}

// CreateSecret creates a token.
func (r *remote) CreateSecret(ctx context.Context, by accounts.Actor, owner accounts.ID, name string,
	opts *accounts.SecretOptions) (accounts.NewSecret, error) {
	who, _, err := r.name(owner)
	if err != nil {
		return accounts.NewSecret{}, err
	}
	t := types.NewToken{Name: name}
	if opts != nil {
		t.Expires = opts.Expires
		if opts.Scopes != nil {
			t.Scopes = grantsFor(opts.Scopes)
		}
	}
	made, err := r.c.CreateToken(ctx, who, t, options(by))
	return newSecretOf(owner, made), translate(err)
}

func newSecretOf(owner accounts.ID, made types.CreatedToken) accounts.NewSecret {
	return accounts.NewSecret{Secret: secretOf(owner, made.Token), Value: auth.Secret(made.Value)}
}

// RotateSecret creates a token that replaces another.
func (r *remote) RotateSecret(ctx context.Context, by accounts.Actor, owner accounts.ID, id string,
	grace time.Duration) (accounts.NewSecret, error) {
	name, _, err := r.name(owner)
	if err != nil {
		return accounts.NewSecret{}, err
	}
	made, err := r.c.RotateToken(ctx, name, id, "", grace, options(by))
	return newSecretOf(owner, made), translate(err)
}

// RevokeSecret ends a token.
func (r *remote) RevokeSecret(ctx context.Context, by accounts.Actor, owner accounts.ID, id string) error {
	name, _, err := r.name(owner)
	if err != nil {
		return err
	}
	return again(func() error {
		_, version, err := r.c.Token(ctx, name, id)
		if err != nil {
			return err
		}
		return r.c.RevokeToken(ctx, name, id, version, options(by))
	})
}
