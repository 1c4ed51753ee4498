package accounts_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

func setVisibility(t testing.TB, a *accounts.Accounts, name string, v accounts.Visibility) {
	_, err := a.UpdateRepository(t.Context(), operator, name, func(r *accounts.Repository) error {
		r.Visibility = v
		return nil
	})
	require.NoError(t, err)
}

func visibility(t testing.TB, a *accounts.Accounts, name string) accounts.Visibility {
	v, err := a.Visibility(t.Context(), name)
	require.NoError(t, err)
	return v
}

func TestRepositories(t *testing.T) {
	ctx := t.Context()
	a := open(t, memory.New(nil), nil)
	r, err := a.Repository(ctx, "acme/app")
	require.NoError(t, err)
	require.Equal(t, &accounts.Repository{Name: "acme/app"}, r)
	require.Empty(t, visibility(t, a, "acme/app"))
	want := accounts.Repository{Name: "acme/app", Visibility: accounts.Public, Description: "# App\n"}
	r, err = a.UpdateRepository(ctx, operator, "acme/app", func(r *accounts.Repository) error {
		*r = want
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, &want, r)
	for name, v := range map[string]accounts.Visibility{"acme/app": accounts.Public, "acme": "", "acme/app/x": "",
		"acme/ap": "", "acme-app": "", "": "", "ACME/app": "", "acme//app": "", "acme/../x": ""} {
		require.Equal(t, v, visibility(t, a, name), name)
	}
	setVisibility(t, a, "acme", accounts.Private)
	setVisibility(t, a, "acme/app/x", accounts.Public)
	require.Equal(t, accounts.Private, visibility(t, a, "acme"))
	setVisibility(t, a, "acme/app", accounts.Private)
	require.Equal(t, accounts.Private, visibility(t, a, "acme/app"), "at once in this process")
	setVisibility(t, a, "acme/app", "")
	require.Empty(t, visibility(t, a, "acme/app"))
	r, err = a.Repository(ctx, "acme/app")
	require.NoError(t, err)
	require.Equal(t, want.Description, r.Description)
}

func TestRepositoriesArguments(t *testing.T) {
	ctx := t.Context()
	a := open(t, memory.New(nil), nil)
	for _, bad := range []string{"", "A", "a//b", "../x", "a/../b", strings.Repeat("a", 256)} {
		_, err := a.Repository(ctx, bad)
		require.ErrorIs(t, err, accounts.ErrInvalid)
		_, err = a.UpdateRepository(ctx, operator, bad, func(*accounts.Repository) error { return nil })
		require.ErrorIs(t, err, accounts.ErrInvalid)
	}
	stop := errors.New("stop")
	for name, row := range map[string]struct {
		want   error
		change func(*accounts.Repository) error
	}{
		"another name":        {accounts.ErrInvalid, func(r *accounts.Repository) error { r.Name = "b"; return nil }},
		"no visibility":       {accounts.ErrInvalid, func(r *accounts.Repository) error { r.Visibility = "x"; return nil }},
		"no UTF-8":            {accounts.ErrInvalid, long(1, "\xff")},
		"error":               {stop, func(r *accounts.Repository) error { return stop }},
		"a long text":         {accounts.ErrInvalid, long(48<<10+1, "x")},
		"a text with escapes": {accounts.ErrInvalid, long(48<<10, "\x00")},
	} {
		_, err := a.UpdateRepository(ctx, operator, "acme/app", row.change)
		require.ErrorIs(t, err, row.want, name)
	}
	r, err := a.Repository(ctx, "acme/app")
	require.NoError(t, err)
	require.Equal(t, &accounts.Repository{Name: "acme/app"}, r, "nothing half done")
	_, err = a.UpdateRepository(ctx, operator, "acme/app", long(48<<10, "x"))
	require.NoError(t, err)
}

func long(n int, text string) func(*accounts.Repository) error {
	return func(r *accounts.Repository) error {
		r.Description = strings.Repeat(text, n)
		return nil
	}
}

// A catalog costs one list for a namespace, and one read for each record that is new or has changed.
func TestVisibilityCostsOneListForANamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := drivertest.NewFaulty(memory.New(nil), nil)
		a, b := open(t, d, nil), open(t, d, nil)
		for i := range 10 {
			setVisibility(t, a, fmt.Sprintf("acme/public-%d", i), accounts.Public)
		}
		page := func() (lists, reads int) {
			lists, reads = d.Count("List"), d.Count("Open")
			for i := range 1000 {
				require.Empty(t, visibility(t, b, fmt.Sprintf("acme/private-%d", i)))
			}
			for i := range 10 {
				require.Equal(t, accounts.Public, visibility(t, b, fmt.Sprintf("acme/public-%d", i)))
			}
			return d.Count("List") - lists, d.Count("Open") - reads
		}
		lists, reads := page()
		require.Equal(t, []int{1, 10}, []int{lists, reads}, "cold")
		lists, reads = page()
		require.Equal(t, []int{0, 0}, []int{lists, reads}, "warm")
		time.Sleep(accounts.DefaultRefresh)
		lists, reads = page()
		require.Equal(t, []int{1, 0}, []int{lists, reads}, "nothing has changed")
		_, err := a.UpdateRepository(t.Context(), operator, "acme/public-3", long(10, "x"))
		require.NoError(t, err)
		time.Sleep(accounts.DefaultRefresh)
		lists, reads = page()
		require.Equal(t, []int{1, 1}, []int{lists, reads}, "one has changed")
	})
}

// A change takes effect in another process within Options.Refresh.
func TestVisibilityIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		a, b := open(t, d, nil), open(t, d, nil)
		for _, v := range []accounts.Visibility{accounts.Public, accounts.Private, "", accounts.Public} {
			setVisibility(t, a, "acme/app", v)
			time.Sleep(accounts.DefaultRefresh)
			require.Equal(t, v, visibility(t, b, "acme/app"))
			time.Sleep(accounts.DefaultRefresh / 2)
		}
	})
}

// A namespace with more records than are listed still has right answers.
func TestVisibilityBeyondTheList(t *testing.T) {
	a := open(t, memory.New(nil), nil)
	name := func(i int) string { return fmt.Sprintf("acme/app-%05d", i) }
	for i := range 10_010 {
		if i != 10_007 {
			setVisibility(t, a, name(i), accounts.Public)
		}
	}
	for range 2 {
		for _, i := range []int{0, 9_999, 10_000, 10_001, 10_007, 10_009, 10_010} {
			want := accounts.Public
			if i == 10_007 || i == 10_010 {
				want = ""
			}
			require.Equal(t, want, visibility(t, a, name(i)), i)
		}
		require.Empty(t, visibility(t, a, "acme"))
	}
	setVisibility(t, a, name(10_009), accounts.Private)
	require.Equal(t, accounts.Private, visibility(t, a, name(10_009)))
}

func TestNoUpdateOfARepositoryIsLost(t *testing.T) {
	d := memory.New(nil)
	list := []*accounts.Accounts{open(t, d, nil), open(t, d, nil)}
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			_, err := list[i%2].UpdateRepository(t.Context(), operator, "acme/app", func(r *accounts.Repository) error {
				r.Description += "x"
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if _, err := list[i%2].Visibility(t.Context(), "acme/app"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	r, err := list[0].Repository(t.Context(), "acme/app")
	require.NoError(t, err)
	require.Len(t, r.Description, 32)
}

func TestRepositoriesOf(t *testing.T) {
	ctx := t.Context()
	store, err := storage.New(ctx, memory.New(nil), nil)
	require.NoError(t, err)
	const index = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	inUse := accounts.RepositoriesOf(store)
	for _, repo := range []string{"acme-x/app", "acme.x", "acm", "bob/app", "cyd", "dee/a/b"} {
		_, err := store.PutManifest(ctx, repo, ocispec.MediaTypeImageIndex, []byte(index), nil)
		require.NoError(t, err)
	}
	for name, want := range map[string]bool{"acme": false, "acme-x": true, "bob": true, "bo": false, "cyd": true,
		"dee": true, "zed": false} {
		used, err := inUse(ctx, name)
		require.NoError(t, err)
		require.Equal(t, want, used, name)
	}
}

func TestRepositoriesOfReturnsErrors(t *testing.T) {
	broken := errors.New("broken")
	fail := false
	d := drivertest.NewFaulty(memory.New(nil), &drivertest.FaultyOptions{
		Before: func(context.Context, drivertest.Call) error {
			if fail {
				return broken
			}
			return nil
		}})
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	fail = true
	_, err = accounts.RepositoriesOf(store)(t.Context(), "acme")
	require.Error(t, err)
}

// TestVisibilityOfAFormerNamespace: what an account has made public says nothing about the repositories of a later
// account of that name. It counts while the name is nobody's, and for the account under each of its names.
func TestVisibilityOfAFormerNamespace(t *testing.T) {
	ctx, d := t.Context(), memory.New(nil)
	a, replica := newAccounts(t, d, nil), newAccounts(t, d, &accounts.Options{Refresh: time.Nanosecond})
	set := func(name string) {
		_, err := a.UpdateRepository(ctx, operator, name, func(r *accounts.Repository) error {
			r.Visibility, r.Description = accounts.Public, "the secret project of "+name
			return nil
		})
		require.NoError(t, err)
	}
	check := func(want bool, name string) {
		t.Helper()
		for _, one := range []*accounts.Accounts{a, replica} {
			require.Equal(t, want, may(t, accounts.NewAuthorizer(one), auth.Identity{}, auth.Pull, name))
			r, err := one.Repository(ctx, name)
			require.NoError(t, err)
			require.Equal(t, want, r.Description != "")
			require.Equal(t, name, r.Name)
		}
	}
	set("ann/before") // by an admin, when the name was nobody's
	ann := newUser(t, a, "ann")
	set("ann/app")
	check(true, "ann/before")
	check(true, "ann/app")
	_, err := a.Rename(ctx, operator, ann.ID, "anna")
	require.NoError(t, err)
	set("ann/web")
	check(true, "ann/app")
	check(true, "ann/web")
	require.NoError(t, a.Remove(ctx, operator, ann.ID))
	check(true, "ann/app")
	check(true, "ann/web")
	other, err := a.CreateUser(ctx, forced, "ann", "", nil)
	require.NoError(t, err)
	require.NotEqual(t, ann.ID, other.ID)
	check(false, "ann/app")
	check(false, "ann/web")
	var exported bytes.Buffer
	require.NoError(t, a.Export(ctx, &exported))
	_, err = a.UpdateRepository(ctx, operator, "ann/web", func(r *accounts.Repository) error {
		require.Equal(t, &accounts.Repository{Name: "ann/web"}, r, "nothing of the one before")
		r.Description = "mine"
		return nil
	})
	require.NoError(t, err)
	set("ann/app")
	check(true, "ann/app")

	a = newAccounts(t, memory.New(nil), nil)
	replica = a
	_, err = a.Import(ctx, operator, &exported, nil)
	require.NoError(t, err)
	check(false, "ann/app")
	check(true, "ann/before")
}
