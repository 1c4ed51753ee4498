package accounts_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/memory"
)

func TestCreateUserRefusals(t *testing.T) {
	ctx := t.Context()
	a := newAccounts(t, memory.New(nil), nil)
	for _, c := range []struct {
		name, password string
		profile        accounts.Profile
	}{
		{name: "A"}, {name: ""}, {name: "x"}, {name: "ann", password: "short"},
		{name: "ann", profile: accounts.Profile{FullName: "a\x00b"}},
		{name: "ann", profile: accounts.Profile{Email: string(make([]byte, 257))}},
		{name: "ann", profile: accounts.Profile{Visibility: "secret"}},
	} {
		_, err := a.CreateUser(ctx, forced, c.name, c.password, &accounts.UserOptions{Profile: c.profile})
		require.ErrorIs(t, err, accounts.ErrInvalid, "%+v", c)
	}
	_, err := a.SignUp(ctx, "ann", "", nil)
	require.ErrorIs(t, err, accounts.ErrInvalid)
	_, err = a.Lookup(ctx, "ann")
	require.ErrorIs(t, err, accounts.ErrUnknown)

	newUser(t, a, "modern")
	for _, name := range []string{"modern", "modem", "m0dern", "mo-dern"} {
		_, err = a.CreateUser(ctx, forced, name, password, nil)
		require.ErrorIs(t, err, accounts.ErrTaken, name)
		_, err = a.Lookup(ctx, name)
		require.Equal(t, name == "modern", err == nil, name)
	}
	_, err = a.CreateOrganisation(ctx, forced, "acme", accounts.Decoy("x"), nil)
	require.ErrorIs(t, err, accounts.ErrUnknown)
	_, err = a.Lookup(ctx, "acme")
	require.ErrorIs(t, err, accounts.ErrUnknown)
}

func TestCreateUserAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		a := newAccounts(t, memory.New(nil), nil)
		ann, err := a.SignUp(ctx, "ann", password, nil)
		require.NoError(t, err)
		again, err := a.SignUp(ctx, "ann", password, nil)
		require.NoError(t, err)
		require.Equal(t, ann.ID, again.ID)
		_, err = a.SignUp(ctx, "ann", "another "+password, nil)
		require.ErrorIs(t, err, accounts.ErrTaken)
		_, err = a.CreateUser(ctx, forced, "ann", "", nil)
		require.ErrorIs(t, err, accounts.ErrTaken)
		time.Sleep(time.Minute)
		_, err = a.SignUp(ctx, "ann", password, nil)
		require.ErrorIs(t, err, accounts.ErrTaken)
	})
}

func TestInUse(t *testing.T) {
	ctx := t.Context()
	used := map[string]bool{"old": true}
	a := newAccounts(t, memory.New(nil), &accounts.Options{
		InUse: func(_ context.Context, name string) (bool, error) {
			if name == "broken" {
				return false, errors.New("cannot tell")
			}
			return used[name], nil
		}})
	by := accounts.Actor{Name: "ann"}
	_, err := a.CreateUser(ctx, by, "old", "", nil)
	require.ErrorIs(t, err, accounts.ErrTaken)
	_, err = a.CreateUser(ctx, by, "broken", "", nil)
	require.ErrorContains(t, err, "cannot tell")
	ann, err := a.CreateUser(ctx, by, "ann", "", nil)
	require.NoError(t, err)
	_, err = a.Rename(ctx, by, ann.ID, "old")
	require.ErrorIs(t, err, accounts.ErrTaken)
	_, err = a.Rename(ctx, by, ann.ID, "anne")
	require.NoError(t, err)
	used["ann"] = true
	_, err = a.Release(ctx, by, ann.ID, "ann")
	require.ErrorIs(t, err, accounts.ErrInUse)
	_, err = a.Rename(ctx, by, ann.ID, "ann")
	require.NoError(t, err, "a former name is one's own")
	_, err = a.CreateUser(ctx, forced, "old", "", nil)
	require.NoError(t, err)
}

func TestRename(t *testing.T) {
	ctx := t.Context()
	a := newAccounts(t, memory.New(nil), nil)
	ann, bob := newUser(t, a, "ann"), newUser(t, a, "bob")
	for _, name := range []string{"bob", "b0b", "b-ob"} {
		_, err := a.Rename(ctx, forced, ann.ID, name)
		require.ErrorIs(t, err, accounts.ErrTaken, name)
	}
	_, err := a.Rename(ctx, forced, ann.ID, "No")
	require.ErrorIs(t, err, accounts.ErrInvalid)
	_, err = a.Rename(ctx, forced, accounts.Decoy("x"), "new")
	require.ErrorIs(t, err, accounts.ErrUnknown)

	got, err := a.Rename(ctx, forced, ann.ID, "anne")
	require.NoError(t, err)
	require.Equal(t, []string{"ann"}, got.Former)
	for _, name := range []string{"ann", "anne"} {
		found, err := a.Lookup(ctx, name)
		require.NoError(t, err)
		require.Equal(t, ann.ID, found.ID)
		require.Equal(t, "anne", found.Name)
		_, err = a.Rename(ctx, forced, bob.ID, name)
		require.ErrorIs(t, err, accounts.ErrTaken, name)
	}
	// Back, to a look-alike, and to the limit.
	for _, name := range []string{"ann", "an-n", "ann1", "ann2", "ann3"} {
		got, err = a.Rename(ctx, forced, ann.ID, name)
		require.NoError(t, err, name)
		require.Equal(t, name, got.Name)
	}
	require.Equal(t, []string{"anne", "ann", "an-n", "ann1", "ann2"}, got.Former)
	_, err = a.Rename(ctx, forced, ann.ID, "ann4")
	require.ErrorIs(t, err, accounts.ErrLimit)
	_, err = a.CreateUser(ctx, forced, "ann4", "", nil)
	require.NoError(t, err, "the refused rename has claimed nothing")
	got, err = a.Rename(ctx, forced, ann.ID, "ann1")
	require.NoError(t, err)
	require.Len(t, got.Former, 5)

	// The name that shares its skeleton with another former one stays.
	got, err = a.Release(ctx, forced, ann.ID, "an-n")
	require.NoError(t, err)
	require.NotContains(t, got.Former, "an-n")
	found, err := a.Lookup(ctx, "ann")
	require.NoError(t, err)
	require.Equal(t, ann.ID, found.ID)
	_, err = a.Release(ctx, forced, ann.ID, "an-n")
	require.ErrorIs(t, err, accounts.ErrUnknown)
	_, err = a.Release(ctx, forced, ann.ID, "ann1")
	require.ErrorIs(t, err, accounts.ErrUnknown, "the present name")
}

func TestQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		a := newAccounts(t, memory.New(nil), nil)
		by := accounts.Actor{Name: "someone"}
		ann, bob := newUser(t, a, "ann"), newUser(t, a, "bob")
		_, err := a.Rename(ctx, by, ann.ID, "anne")
		require.NoError(t, err)
		time.Sleep(accounts.DefaultQuarantine) // a name that is not released is not in quarantine
		_, err = a.Release(ctx, by, ann.ID, "ann")
		require.NoError(t, err)
		require.NoError(t, a.Remove(ctx, by, bob.ID))
		for _, name := range []string{"ann", "bob", "b0b"} {
			_, err = a.Lookup(ctx, name)
			require.ErrorIs(t, err, accounts.ErrUnknown, name)
			_, err = a.CreateUser(ctx, by, name, "", nil)
			require.ErrorIs(t, err, accounts.ErrTaken, name)
		}
		time.Sleep(accounts.DefaultQuarantine - time.Second)
		require.NoError(t, a.Tidy(ctx))
		for _, name := range []string{"ann", "bob"} {
			_, err = a.CreateUser(ctx, by, name, "", nil)
			require.ErrorIs(t, err, accounts.ErrTaken, name)
		}
		time.Sleep(time.Second)
		for _, name := range []string{"ann", "b0b"} {
			acc, err := a.CreateUser(ctx, by, name, "", nil)
			require.NoError(t, err, name)
			found, err := a.Lookup(ctx, name)
			require.NoError(t, err)
			require.Equal(t, acc.ID, found.ID)
		}
		// Force ends a quarantine. The account that released a name may take it back.
		require.NoError(t, a.Remove(ctx, by, ann.ID))
		_, err = a.CreateUser(ctx, forced, "anne", "", nil)
		require.NoError(t, err)
		eve := newUser(t, a, "eve")
		_, err = a.Rename(ctx, by, eve.ID, "eva")
		require.NoError(t, err)
		_, err = a.Release(ctx, by, eve.ID, "eve")
		require.NoError(t, err)
		got, err := a.Rename(ctx, by, eve.ID, "eve")
		require.NoError(t, err)
		require.Equal(t, "eve", got.Name)
	})
}

func TestDisableAndEnable(t *testing.T) {
	ctx := t.Context()
	a := newAccounts(t, memory.New(nil), nil)
	ann := newUser(t, a, "ann")
	by := accounts.Actor{Name: "root", Reason: "spam"}
	got, err := a.Disable(ctx, by, ann.ID)
	require.NoError(t, err)
	require.Equal(t, "spam", got.Disabled.Reason)
	again, err := a.Disable(ctx, forced, ann.ID)
	require.NoError(t, err)
	require.Equal(t, got.Disabled, again.Disabled)
	seen, err := a.Lookup(ctx, "ann")
	require.NoError(t, err)
	require.False(t, seen.Active(), "in effect at once in this process")
	_, err = a.CreateOrganisation(ctx, forced, "acme", ann.ID, nil)
	require.ErrorIs(t, err, accounts.ErrUnknown)
	got, err = a.Enable(ctx, forced, ann.ID)
	require.NoError(t, err)
	require.True(t, got.Active())
	_, err = a.Enable(ctx, forced, accounts.Decoy("x"))
	require.ErrorIs(t, err, accounts.ErrUnknown)
}

func TestAdminsAreNeitherDisabledNorRemoved(t *testing.T) {
	ctx := t.Context()
	a := newAccounts(t, memory.New(nil), nil)
	ann, bob := newUser(t, a, "ann"), newUser(t, a, "bob")
	require.NoError(t, a.AddAdmin(ctx, forced, ann.ID))
	require.NoError(t, a.AddAdmin(ctx, forced, bob.ID))
	_, err := a.Disable(ctx, forced, ann.ID)
	require.ErrorIs(t, err, accounts.ErrInUse)
	require.ErrorIs(t, a.Remove(ctx, forced, ann.ID), accounts.ErrInUse)
	got, err := a.Account(ctx, ann.ID)
	require.NoError(t, err)
	require.True(t, got.Active())
	require.NoError(t, a.RemoveAdmin(ctx, forced, ann.ID))
	require.NoError(t, a.Remove(ctx, forced, ann.ID))
}

func TestRemove(t *testing.T) {
	ctx := t.Context()
	d := memory.New(nil)
	a := newAccounts(t, d, nil)
	ann, err := a.CreateUser(ctx, forced, "ann", password, &accounts.UserOptions{
		Profile: accounts.Profile{FullName: "Ann Lee", Email: "ann@example.com"}})
	require.NoError(t, err)
	bob := newUser(t, a, "bob")
	acme, err := a.CreateOrganisation(ctx, forced, "acme", ann.ID, nil)
	require.NoError(t, err)
	other, err := a.CreateOrganisation(ctx, forced, "other", bob.ID, nil)
	require.NoError(t, err)
	require.NoError(t, a.AddMember(ctx, forced, other.ID, ann.ID))
	require.NoError(t, a.AddMember(ctx, forced, acme.ID, bob.ID))
	robot, err := a.CreateRobot(ctx, forced, acme.ID, "deploy", nil)
	require.NoError(t, err)

	require.ErrorIs(t, a.Remove(ctx, forced, ann.ID), accounts.ErrInUse)
	require.NoError(t, a.Remove(ctx, forced, acme.ID))
	for _, name := range []string{"acme", "acme+deploy"} {
		_, err = a.Lookup(ctx, name)
		require.ErrorIs(t, err, accounts.ErrUnknown, name)
	}
	gone, err := a.Account(ctx, robot.ID)
	require.NoError(t, err)
	require.NotNil(t, gone.Removed)
	require.NoError(t, a.Remove(ctx, forced, ann.ID))
	require.NoError(t, a.Remove(ctx, forced, ann.ID), "again")
	_, err = a.Rename(ctx, forced, ann.ID, "anne")
	require.ErrorIs(t, err, accounts.ErrUnknown)
	require.ErrorIs(t, a.SetPassword(ctx, forced, ann.ID, password), accounts.ErrUnknown)
	_, err = a.CheckPassword(ctx, ann.ID, password)
	require.ErrorIs(t, err, accounts.ErrUnknown)
	require.NoError(t, a.Tidy(ctx))
	left := keys(t, d)
	require.ElementsMatch(t, []string{
		"w/admins", "w/n/ann", "w/n/bob", "w/n/acme", "w/n/other", "w/g/acme", "w/g/other",
		"w/u/" + string(ann.ID), "w/u/" + string(bob.ID),
		"w/u/" + string(acme.ID), "w/u/" + string(other.ID), "w/u/" + string(robot.ID),
		"w/m/" + string(other.ID) + "/" + string(bob.ID), "w/o/" + string(bob.ID) + "/" + string(other.ID),
	}, append(left, "w/admins"))
	gone, err = a.Account(ctx, ann.ID)
	require.NoError(t, err)
	require.Empty(t, gone.Email)
}

func TestUpdate(t *testing.T) {
	ctx := t.Context()
	a := newAccounts(t, memory.New(nil), nil)
	ann := newUser(t, a, "ann")
	got, err := a.Update(ctx, forced, ann.ID, func(p *accounts.Profile) error {
		p.FullName, p.Visibility = "Ann", accounts.Public
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, accounts.Public, got.Visibility)
	_, err = a.Update(ctx, forced, ann.ID, func(p *accounts.Profile) error { p.Visibility = "x"; return nil })
	require.ErrorIs(t, err, accounts.ErrInvalid)
	stop := errors.New("stop")
	_, err = a.Update(ctx, forced, ann.ID, func(*accounts.Profile) error { return stop })
	require.ErrorIs(t, err, stop)
}

func TestEventsAndAudit(t *testing.T) {
	ctx := t.Context()
	var audit []accounts.Change
	var events []notification.Event
	fail := false
	a := newAccounts(t, memory.New(nil), &accounts.Options{
		Audit: func(_ context.Context, c accounts.Change) { audit = append(audit, c) },
		Sink: notification.SinkFunc(func(_ context.Context, e notification.Event) error {
			if fail {
				return errors.New("down")
			}
			events = append(events, e)
			return nil
		}), Instance: "registry-1"})
	by := accounts.Actor{Name: "root", Reason: "ticket 5"}
	ann, err := a.CreateUser(ctx, by, "ann", password, nil)
	require.NoError(t, err)
	_, err = a.Rename(ctx, by, ann.ID, "anne")
	require.NoError(t, err)
	_, err = a.Rename(ctx, by, ann.ID, "anne") // nothing to do
	require.NoError(t, err)
	_, err = a.CreateUser(ctx, by, "ann", "", nil)
	require.ErrorIs(t, err, accounts.ErrTaken)
	require.Len(t, events, 2)
	require.Equal(t, &notification.AccountChange{Change: "user.rename", Name: "anne", ID: string(ann.ID),
		Before: "ann", After: "anne", Reason: "ticket 5"}, events[1].Account)
	require.Equal(t, "root", events[1].Actor)
	require.Equal(t, "registry-1", events[1].Instance)
	require.Len(t, audit, 3)
	require.Equal(t, "user.create", audit[2].Action)
	require.Contains(t, audit[2].Refused, "taken")

	fail = true
	got, err := a.Disable(ctx, by, ann.ID)
	require.ErrorIs(t, err, accounts.ErrNotified)
	require.NotNil(t, got.Disabled, "the change was made")
	for _, c := range audit {
		require.NotContains(t, c.Before+c.After+c.Refused+c.Reason, password)
	}
}

// TestRenameToALookAlike: who has "myapp" does not get the repositories below "my-app", which are nobody's, nor a
// reserved name, by a name that nobody else can take.
func TestRenameToALookAlike(t *testing.T) {
	ctx, by := t.Context(), accounts.Actor{Name: "mallory"}
	a := newAccounts(t, memory.New(nil), &accounts.Options{InUse: func(_ context.Context, name string) (bool, error) {
		return name == "my-app", nil
	}})
	for before, after := range map[string]string{"myapp": "my-app", "admln": "adm1n"} {
		acc := newUser(t, a, before)
		_, err := a.Rename(ctx, by, acc.ID, after)
		require.ErrorIs(t, err, accounts.ErrTaken)
		require.False(t, may(t, accounts.NewAuthorizer(a), identityOf(acc), auth.Pull, after+"/secret"))
		_, err = a.Rename(ctx, forced, acc.ID, after)
		require.NoError(t, err)
		_, err = a.Rename(ctx, by, acc.ID, before)
		require.NoError(t, err, "a former name is one's own")
	}
	ann := newUser(t, a, "ann")
	_, err := a.Rename(ctx, by, ann.ID, "a-nn")
	require.NoError(t, err)
}
