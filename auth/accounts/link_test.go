package accounts_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/memory"
)

// person is somebody at a provider.
func person(name string) accounts.Person {
	return accounts.Person{Issuer: "https://id.example", Subject: name}
}

func TestLink(t *testing.T) {
	ctx, by := t.Context(), accounts.Actor{Name: "ann"}
	changes := &changes{}
	a := newAccounts(t, memory.New(nil), &accounts.Options{Audit: changes.add})
	ann, bob := newUser(t, a, "ann"), newUser(t, a, "bob")
	changes.take()

	_, err := a.Linked(ctx, person("1"))
	require.ErrorIs(t, err, accounts.ErrUnknown)
	require.NoError(t, a.Link(ctx, by, person("1"), ann.ID))
	require.NoError(t, a.Link(ctx, by, person("1"), ann.ID), "again")
	require.ErrorIs(t, a.Link(ctx, by, person("1"), bob.ID), accounts.ErrTaken)
	id, err := a.Linked(ctx, person("1"))
	require.NoError(t, err)
	require.Equal(t, ann.ID, id)
	other := accounts.Person{Issuer: "https://other.example", Subject: "1"}
	_, err = a.Linked(ctx, other)
	require.ErrorIs(t, err, accounts.ErrUnknown, "the same subject of another issuer")
	got := changes.take()
	require.Len(t, got, 2)
	require.Equal(t, "user.link", got[0].Action)
	require.Equal(t, "1 of https://id.example", got[0].After)
	require.NotEmpty(t, got[1].Refused)

	for _, wrong := range []accounts.Person{{}, {Issuer: "x"}, {Subject: "x"}, {Issuer: "x", Subject: "\n"},
		{Issuer: "x", Subject: strings.Repeat("x", 256)}} {
		require.ErrorIs(t, a.Link(ctx, by, wrong, ann.ID), accounts.ErrInvalid)
	}
	require.ErrorIs(t, a.Link(ctx, by, person("2"), "nobody"), accounts.ErrUnknown)

	require.ErrorIs(t, a.Unlink(ctx, by, person("1"), bob.ID), accounts.ErrUnknown)
	persons, err := a.Links(ctx, ann.ID)
	require.NoError(t, err)
	require.Equal(t, []accounts.Person{person("1")}, persons)
	require.NoError(t, a.Unlink(ctx, by, person("1"), ann.ID))
	persons, err = a.Links(ctx, ann.ID)
	require.NoError(t, err)
	require.Empty(t, persons)
	require.NoError(t, a.Link(ctx, by, person("1"), bob.ID), "the person is free again")
}

func TestLinkLimit(t *testing.T) {
	a := newAccounts(t, memory.New(nil), nil)
	ann := newUser(t, a, "ann")
	for i := range 20 {
		require.NoError(t, a.Link(t.Context(), accounts.Actor{}, person(fmt.Sprint(i)), ann.ID))
	}
	require.ErrorIs(t, a.Link(t.Context(), accounts.Actor{}, person("20"), ann.ID), accounts.ErrLimit)
}

// TestCreateLinkedNeverTakesAnAccount: a person never gets an account because the name is equal,
// not even within the minute in which CreateUser can be repeated.
func TestCreateLinkedNeverTakesAnAccount(t *testing.T) {
	ctx, by := t.Context(), accounts.Actor{}
	a := newAccounts(t, memory.New(nil), nil)
	newUser(t, a, "ann")
	_, err := a.CreateLinked(ctx, by, person("1"), "ann", nil)
	require.ErrorIs(t, err, accounts.ErrTaken)
	_, err = a.Linked(ctx, person("1"))
	require.ErrorIs(t, err, accounts.ErrUnknown)

	bob, err := a.CreateLinked(ctx, by, person("2"), "bob", nil)
	require.NoError(t, err)
	again, err := a.CreateLinked(ctx, by, person("2"), "bob", nil)
	require.NoError(t, err, "a repetition")
	require.Equal(t, bob.ID, again.ID)
	_, err = a.CreateLinked(ctx, by, person("3"), "bob", nil)
	require.ErrorIs(t, err, accounts.ErrTaken, "another person")
	_, err = a.CreateLinked(ctx, by, person("2"), "robert", nil)
	require.ErrorIs(t, err, accounts.ErrTaken, "a second account of one person")
	_, err = a.CreateUser(ctx, by, "bob", "", nil)
	_ = err // a repetition of a user without a password within a minute: it gives no link
	id, err := a.Linked(ctx, person("1"))
	require.ErrorIs(t, err, accounts.ErrUnknown, id)

	// After the refusal, the person can link an existing account, or get another name.
	ann, err := a.Lookup(ctx, "ann")
	require.NoError(t, err)
	require.NoError(t, a.Link(ctx, by, person("1"), ann.ID))
	other, err := a.CreateLinked(ctx, by, person("3"), "bob-2", nil)
	require.NoError(t, err)
	id, err = a.Linked(ctx, person("3"))
	require.NoError(t, err)
	require.Equal(t, other.ID, id)
}

// TestLinkOfARemovedUser: a removed user gets no new account by signing in again.
func TestLinkOfARemovedUser(t *testing.T) {
	ctx, by := t.Context(), accounts.Actor{}
	a := newAccounts(t, memory.New(nil), nil)
	ann, err := a.CreateLinked(ctx, by, person("1"), "ann", nil)
	require.NoError(t, err)
	require.NoError(t, a.Remove(ctx, by, ann.ID))
	require.NoError(t, a.Tidy(ctx))
	id, err := a.Linked(ctx, person("1"))
	require.NoError(t, err)
	require.Equal(t, ann.ID, id)
	_, err = a.CreateLinked(ctx, by, person("1"), "anna", nil)
	require.ErrorIs(t, err, accounts.ErrTaken)
	require.NoError(t, a.Unlink(ctx, by, person("1"), ann.ID), "until an admin permits it")
	_, err = a.CreateLinked(ctx, by, person("1"), "anna", nil)
	require.NoError(t, err)
}

// TestCreateLinkedAtOnce: many replicas at the first sign-in of one person make one account.
func TestCreateLinkedAtOnce(t *testing.T) {
	d := memory.New(nil)
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			replica, name := newAccounts(t, d, nil), fmt.Sprint("ann-", i%2)
			_, err := replica.CreateLinked(t.Context(), accounts.Actor{}, person("1"), name, nil)
			if err != nil && !errors.Is(err, accounts.ErrTaken) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	a := newAccounts(t, d, nil)
	id, err := a.Linked(t.Context(), person("1"))
	require.NoError(t, err)
	n := 0
	for acc, err := range a.List(t.Context(), "") {
		require.NoError(t, err)
		require.Equal(t, id, acc.ID)
		n++
	}
	require.Equal(t, 1, n)
}

func TestLinksAreExported(t *testing.T) {
	ctx, by := t.Context(), accounts.Actor{}
	from, to := newAccounts(t, memory.New(nil), nil), newAccounts(t, memory.New(nil), nil)
	ann, err := from.CreateLinked(ctx, by, person("1"), "ann", nil)
	require.NoError(t, err)
	file := export(t, from)
	for range 2 {
		_, err = to.Import(ctx, by, strings.NewReader(file), nil)
		require.NoError(t, err)
	}
	sameExport(t, file, export(t, to))
	id, err := to.Linked(ctx, person("1"))
	require.NoError(t, err)
	require.Equal(t, ann.ID, id)
	links, err := to.Links(ctx, ann.ID)
	require.NoError(t, err)
	require.Equal(t, []accounts.Person{person("1")}, links)
	for _, wrong := range []string{
		line("link", "", `"issuer":"i","subject":"s","account":"zzzzzzzzzzzzzzzz",`+created),
		line("link", "", `"issuer":"","subject":"s","account":"`+string(ann.ID)+`",`+created),
		line("link", "", `"issuer":"i","subject":"s","account":"`+string(ann.ID)+`"`),
	} {
		_, err = to.Import(ctx, by, strings.NewReader(wrong), nil)
		require.Error(t, err)
	}
}

func TestKilledCreateLinked(t *testing.T) {
	(&killed{
		prepare: func(*testing.T, *accounts.Accounts) accounts.ID { return "" },
		do: func(t *testing.T, a *accounts.Accounts, _ accounts.ID) error {
			_, err := a.CreateLinked(t.Context(), accounts.Actor{}, person("1"), "ann", nil)
			return err
		},
		state: func(t *testing.T, a *accounts.Accounts, _ accounts.ID) string {
			id, err := a.Linked(t.Context(), person("1"))
			named, nerr := a.Lookup(t.Context(), "ann")
			if errors.Is(err, accounts.ErrUnknown) {
				require.ErrorIs(t, nerr, accounts.ErrUnknown)
				return "none"
			}
			require.NoError(t, err)
			require.NoError(t, nerr)
			require.Equal(t, named.ID, id)
			return named.Name
		},
		before: "none", after: "ann",
	}).run(t)
}
