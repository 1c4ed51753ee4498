package accounts_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// acme is the organisation of the tests with faults. ann has made it, bob was a member and is an owner, cyd is a member
// in the team dev, and dee and eve are not in it. ann and bob are admins.
type acme struct {
	org                     accounts.ID
	ann, bob, cyd, dee, eve accounts.ID
	robot                   accounts.ID
}

func newAcme(t *testing.T, d driver.Driver) acme {
	ctx := t.Context()
	a := open(t, d, nil)
	ids := newUsers(t, a, "ann", "bob", "cyd", "dee", "eve")
	w := acme{ann: ids[0], bob: ids[1], cyd: ids[2], dee: ids[3], eve: ids[4]}
	w.org = newOrganisation(t, a, "acme", w.ann)
	require.NoError(t, a.AddMember(ctx, operator, w.org, w.bob))
	require.NoError(t, a.AddOwner(ctx, operator, w.org, w.bob))
	newTeam(t, a, w.org, "dev", writeApp)
	newTeam(t, a, w.org, "ops", writeApp)
	require.NoError(t, a.JoinTeam(ctx, operator, w.org, "dev", w.cyd))
	require.NoError(t, a.JoinTeam(ctx, operator, w.org, "dev", w.bob))
	require.NoError(t, a.AddAdmin(ctx, operator, w.ann))
	require.NoError(t, a.AddAdmin(ctx, operator, w.bob))
	robot, err := a.CreateRobot(ctx, operator, w.org, "deploy", []accounts.Grant{writeApp})
	require.NoError(t, err)
	w.robot = robot.ID
	setVisibility(t, a, "acme/app", accounts.Public)
	return w
}

// state returns everything that can be seen of it, without IDs and times of what is made anew.
func (w acme) state(t *testing.T, d driver.Driver) string {
	ctx := t.Context()
	a := open(t, d, nil)
	var b strings.Builder
	users := []accounts.ID{w.ann, w.bob, w.cyd, w.dee, w.eve}
	name := func(id accounts.ID) string {
		account, err := a.Account(ctx, id)
		require.NoError(t, err)
		return account.Name
	}
	sorted := func(ids []accounts.ID) (names []string) {
		for _, id := range ids {
			names = append(names, name(id))
		}
		slices.Sort(names)
		return names
	}
	admins, err := a.Admins(ctx)
	require.NoError(t, err)
	org, err := a.Account(ctx, w.org)
	require.NoError(t, err)
	fmt.Fprintln(&b, "admins", sorted(admins), "owners", sorted(org.Owners))
	list := members(t, a, w.org)
	for _, id := range users {
		groups, err := a.Groups(ctx, id)
		require.NoError(t, err)
		grants, err := a.Grants(ctx, w.org, id)
		require.NoError(t, err)
		m, is := list[id]
		fmt.Fprintln(&b, name(id), groups, grants, is, m.Owner, m.Teams)
		n := 0
		for range a.Memberships(ctx, id, "") {
			n++
		}
		require.Equal(t, is, n == 1)
	}
	teams, err := a.Teams(ctx, w.org)
	require.NoError(t, err)
	for _, team := range teams {
		fmt.Fprintln(&b, team.Name, team.Description, team.Grants)
	}
	for robot, err := range a.Robots(ctx, w.org, "") {
		require.NoError(t, err)
		found, err := a.Lookup(ctx, robot.Name)
		require.NoError(t, err)
		require.Equal(t, robot.ID, found.ID)
		fmt.Fprintln(&b, robot.Name, robot.Grants)
	}
	for _, name := range []string{"acme/app", "acme/new"} {
		r, err := a.Repository(ctx, name)
		require.NoError(t, err)
		require.Equal(t, r.Visibility, visibility(t, a, name))
		fmt.Fprintln(&b, *r)
	}
	return b.String()
}

// orgChanges are all changes of this part, each of which changes its state.
func orgChanges() map[string]func(context.Context, *accounts.Accounts, acme) error {
	type A = accounts.Accounts
	describe := func(team *accounts.Team) error {
		team.Description, team.Grants = "new", nil
		return nil
	}
	return map[string]func(context.Context, *A, acme) error{
		"AddAdmin":    func(ctx context.Context, a *A, w acme) error { return a.AddAdmin(ctx, operator, w.cyd) },
		"RemoveAdmin": func(ctx context.Context, a *A, w acme) error { return a.RemoveAdmin(ctx, operator, w.bob) },
		"AddOwner of another": func(ctx context.Context, a *A, w acme) error {
			return a.AddOwner(ctx, operator, w.org, w.dee)
		},
		"AddOwner of a member": func(ctx context.Context, a *A, w acme) error {
			return a.AddOwner(ctx, operator, w.org, w.cyd)
		},
		"RemoveOwner": func(ctx context.Context, a *A, w acme) error {
			return a.RemoveOwner(ctx, operator, w.org, w.bob)
		},
		"RemoveOwner who made it": func(ctx context.Context, a *A, w acme) error {
			return a.RemoveOwner(ctx, operator, w.org, w.ann)
		},
		"RemoveMember who made it": func(ctx context.Context, a *A, w acme) error {
			return a.RemoveMember(ctx, operator, w.org, w.ann)
		},
		"AddMember": func(ctx context.Context, a *A, w acme) error { return a.AddMember(ctx, operator, w.org, w.dee) },
		"RemoveMember": func(ctx context.Context, a *A, w acme) error {
			return a.RemoveMember(ctx, operator, w.org, w.cyd)
		},
		"RemoveMember of an owner": func(ctx context.Context, a *A, w acme) error {
			return a.RemoveMember(ctx, operator, w.org, w.bob)
		},
		"CreateTeam": func(ctx context.Context, a *A, w acme) error {
			_, err := a.CreateTeam(ctx, operator, w.org, "new", nil)
			return err
		},
		"UpdateTeam": func(ctx context.Context, a *A, w acme) error {
			_, err := a.UpdateTeam(ctx, operator, w.org, "dev", describe)
			return err
		},
		"RemoveTeam": func(ctx context.Context, a *A, w acme) error { return a.RemoveTeam(ctx, operator, w.org, "dev") },
		"JoinTeam of another": func(ctx context.Context, a *A, w acme) error {
			return a.JoinTeam(ctx, operator, w.org, "dev", w.eve)
		},
		"JoinTeam of a member": func(ctx context.Context, a *A, w acme) error {
			return a.JoinTeam(ctx, operator, w.org, "ops", w.cyd)
		},
		"LeaveTeam": func(ctx context.Context, a *A, w acme) error {
			return a.LeaveTeam(ctx, operator, w.org, "dev", w.cyd)
		},
		"CreateRobot": func(ctx context.Context, a *A, w acme) error {
			_, err := a.CreateRobot(ctx, operator, w.org, "new", nil)
			return err
		},
		"UpdateRobot": func(ctx context.Context, a *A, w acme) error {
			_, err := a.UpdateRobot(ctx, operator, w.robot, nil)
			return err
		},
		"UpdateRepository": func(ctx context.Context, a *A, _ acme) error {
			_, err := a.UpdateRepository(ctx, operator, "acme/app", func(r *accounts.Repository) error {
				r.Visibility, r.Description = accounts.Private, "new"
				return nil
			})
			return err
		},
		"UpdateRepository of a new one": func(ctx context.Context, a *A, _ acme) error {
			_, err := a.UpdateRepository(ctx, operator, "acme/new", long(3, "x"))
			return err
		},
	}
}

// Whatever write fails, loses its response, or is the last one before the process is killed: the change is made
// completely or not at all, it is made if the call says so, and the call can be repeated.
func TestChangesAreMadeOrNot(t *testing.T) {
	faults := map[string]func(d *drivertest.Faulty, n int){
		"not performed": (*drivertest.Faulty).FailWrite,
		"lost response": (*drivertest.Faulty).LoseResponse,
		"killed":        func(d *drivertest.Faulty, n int) { d.CutAfter(n - 1) },
	}
	for name, change := range orgChanges() {
		for kind, fault := range faults {
			t.Run(name+" "+kind, func(t *testing.T) {
				ctx := t.Context()
				for n := 1; ; n++ {
					below := memory.New(nil)
					w := newAcme(t, below)
					before := w.state(t, below)
					d := drivertest.NewFaulty(below, nil)
					a := open(t, d, nil)
					fault(d, n)
					err := change(ctx, a, w)
					reached := d.Cut() || d.Writes() >= n
					now := w.state(t, below)
					d.Heal()
					_ = change(ctx, open(t, d, nil), w) // ErrTaken and ErrUnknown if it was made
					after := w.state(t, below)
					require.NotEqual(t, before, after)
					if err == nil {
						require.Equal(t, after, now)
					} else {
						require.Contains(t, []string{before, after}, now, "write %d", n)
					}
					if !reached {
						require.NoError(t, err)
						return
					}
					require.Less(t, n, 20)
				}
			})
		}
	}
}

// copyOf returns a driver with the same objects.
func copyOf(t *testing.T, d driver.Driver) driver.Driver {
	c := memory.New(nil)
	for info, err := range d.List(t.Context(), "", nil) {
		require.NoError(t, err)
		body, _, err := d.Open(t.Context(), info.Key, nil)
		require.NoError(t, err)
		_, err = c.Put(t.Context(), info.Key, body, nil)
		require.NoError(t, err)
		require.NoError(t, body.Close())
	}
	return c
}

// A change of somebody else after an interrupted one does not complete it, and is not hindered by it.
func TestAfterAnInterruptedChange(t *testing.T) {
	ctx := t.Context()
	fresh := memory.New(nil)
	w := newAcme(t, fresh)
	before := w.state(t, fresh)
	changes := orgChanges()
	for first, one := range changes {
		made := copyOf(t, fresh)
		require.NoError(t, one(ctx, open(t, made, nil), w))
		want := map[bool]driver.Driver{false: fresh, true: made}
		for n := range 20 {
			below := copyOf(t, fresh)
			d := drivertest.NewFaulty(below, nil)
			d.CutAfter(n)
			_ = one(ctx, open(t, d, nil), w)
			start := want[w.state(t, below) != before]
			for i, second := range slices.Sorted(maps.Keys(changes)) {
				if testing.Short() && (i+n)%4 != 0 {
					continue
				}
				two := changes[second]
				whole, cut := copyOf(t, start), copyOf(t, below)
				require.Equal(t, two(ctx, open(t, whole, nil), w), two(ctx, open(t, cut, nil), w), "%s, %s", first, second)
				require.Equal(t, w.state(t, whole), w.state(t, cut), "%s cut after %d, %s", first, n, second)
			}
			if !d.Cut() || testing.Short() && n > 1 {
				break
			}
		}
	}
}
