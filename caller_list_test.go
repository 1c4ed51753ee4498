package registry_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/registrytest"
)

// newCaller returns the sender of a request to another handler, called name.
func newCaller(t *testing.T, reg *registry.Registry, name string) *registry.Caller {
	t.Helper()
	c, err := reg.Caller(httptest.NewRequest("GET", "/", nil), auth.AuthenticatorFunc(
		func(*http.Request) (auth.Identity, error) { return auth.Identity{Name: name}, nil }))
	require.NoError(t, err)
	return c
}

// scan returns the examined names of a list. Those that are not visible are in parentheses.
func scan(t *testing.T, list func(yield func(registry.Scanned, error) bool)) []string {
	t.Helper()
	names := []string{}
	for s, err := range list {
		require.NoError(t, err)
		if s.Visible {
			names = append(names, s.Name)
		} else {
			names = append(names, "("+s.Name+")")
		}
	}
	return names
}

func TestScanRepositories(t *testing.T) {
	s := registrytest.NewServer(t, &registry.Options{Authorizer: seesSome("acme/app", "bob/app")})
	image := registrytest.RandomImage(1, 1, 10)
	for _, repo := range []string{"acme", "acme-x", "acme/app", "acme/web", "bob/app"} {
		require.NoError(t, image.Push(t.Context(), s.Store, repo, "v1"))
	}
	c := newCaller(t, s.Registry, "ann")
	for _, row := range []struct {
		opts *registry.ScanOptions
		want string
	}{
		{nil, "(acme) (acme-x) acme/app (acme/web) bob/app"},
		{&registry.ScanOptions{After: "acme-x"}, "acme/app (acme/web) bob/app"},
		{&registry.ScanOptions{After: "ACME"}, "(acme) (acme-x) acme/app (acme/web) bob/app"},
		{&registry.ScanOptions{Prefix: "acme"}, "(acme) (acme-x) acme/app (acme/web)"},
		{&registry.ScanOptions{Prefix: "acme/"}, "acme/app (acme/web)"},
		{&registry.ScanOptions{Prefix: "acme/", After: "acme/app"}, "(acme/web)"},
		{&registry.ScanOptions{Prefix: "acme/", After: "bob"}, ""},
		{&registry.ScanOptions{Prefix: "acme/w", After: "acme"}, "(acme/web)"},
		{&registry.ScanOptions{Prefix: "zed"}, ""},
	} {
		require.Equal(t, row.want, strings.Join(scan(t, c.ScanRepositories(t.Context(), row.opts)), " "), row.opts)
	}
}

// TestScanPrefixes: the names outside the prefixes of the Authorizer are not examined.
func TestScanPrefixes(t *testing.T) {
	s := registrytest.NewServer(t, &registry.Options{Authorizer: onlyBelow("acme/")})
	image := registrytest.RandomImage(1, 1, 10)
	for _, repo := range []string{"abc/app", "acme/app", "bob/app"} {
		require.NoError(t, image.Push(t.Context(), s.Store, repo, "v1"))
	}
	c := newCaller(t, s.Registry, "ann")
	require.Equal(t, []string{"acme/app"}, scan(t, c.ScanRepositories(t.Context(), nil)))
	require.Empty(t, scan(t, c.ScanRepositories(t.Context(), &registry.ScanOptions{Prefix: "bob/"})))
}

// onlyBelow allows everything below a prefix, and the catalog.
type onlyBelow string

func (p onlyBelow) Authorize(_ context.Context, _ auth.Identity, accesses []auth.Access) error {
	for _, a := range accesses {
		if a.Type == auth.TypeRepository && !strings.HasPrefix(a.Name, string(p)) {
			return auth.ErrDenied
		}
	}
	return nil
}

func (p onlyBelow) Prefixes(context.Context, auth.Identity) []string { return []string{string(p)} }

func TestScanTags(t *testing.T) {
	denied := func(_ context.Context, _ auth.Identity, accesses []auth.Access) error {
		if slices.ContainsFunc(accesses, func(a auth.Access) bool { return a.Tag == "hidden" || a.Name == "secret" }) {
			return auth.ErrDenied
		}
		return nil
	}
	var decisions []auth.Decision
	s := registrytest.NewServer(t, &registry.Options{Authorizer: auth.AuthorizerFunc(denied),
		Audit: func(_ context.Context, d auth.Decision) { decisions = append(decisions, d) }})
	image := registrytest.RandomImage(1, 1, 10)
	require.NoError(t, image.Push(t.Context(), s.Store, "app", "a", "hidden", "v1", "v2"))
	require.NoError(t, image.Push(t.Context(), s.Store, "secret", "v1"))
	c := newCaller(t, s.Registry, "ann")
	require.Equal(t, []string{"a", "(hidden)", "v1", "v2"}, scan(t, c.ScanTags(t.Context(), "app", nil)))
	require.Equal(t, []string{"v1", "v2"}, scan(t, c.ScanTags(t.Context(), "app", &registry.ScanOptions{Prefix: "v"})))
	require.Equal(t, []string{"(a)", "(hidden)", "(v1)", "(v2)"}, scan(t, c.ScanTags(t.Context(), "app",
		&registry.ScanOptions{Unasked: true})))
	d, err := c.StatListed(t.Context(), "app", "v1")
	require.NoError(t, err)
	require.Equal(t, image.Descriptor.Digest, d.Digest)
	require.Len(t, decisions, 3, "the elements make none")
	_, err = c.StatListed(t.Context(), "app", "hidden")
	require.ErrorIs(t, err, registry.ErrDenied)
	_, err = c.StatListed(t.Context(), "app", "none")
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	_, err = c.StatListed(t.Context(), "A", "none")
	require.ErrorIs(t, err, registry.ErrNameInvalid)
	for name, want := range map[string]error{"secret": registry.ErrDenied, "none": registry.ErrNameUnknown,
		"A": registry.ErrNameInvalid} {
		for _, unasked := range []bool{false, true} {
			for _, err := range c.ScanTags(t.Context(), name, &registry.ScanOptions{Unasked: unasked}) {
				require.ErrorIs(t, err, want)
			}
		}
	}
}

func TestScanWithoutCatalog(t *testing.T) {
	s := registrytest.NewServer(t, &registry.Options{Authorizer: auth.AuthorizerFunc(
		func(context.Context, auth.Identity, []auth.Access) error { return auth.ErrDenied })})
	for _, err := range newCaller(t, s.Registry, "ann").ScanRepositories(t.Context(), nil) {
		require.ErrorIs(t, err, registry.ErrDenied)
	}
}

func TestSealedCursors(t *testing.T) {
	key := []byte("0123456789abcdef")
	s := registrytest.NewServer(t, &registry.Options{PageKey: key})
	replica := registrytest.NewServer(t, &registry.Options{PageKey: key})
	ann, bob := newCaller(t, s.Registry, "ann"), newCaller(t, s.Registry, "bob")
	for _, position := range []string{"acme/app", "a", strings.Repeat("p", 700)} {
		cursor := ann.SealCursor("list", position)
		got, err := newCaller(t, replica.Registry, "ann").OpenCursor("list", cursor)
		require.NoError(t, err)
		require.Equal(t, position, got)
		for _, other := range []string{"", "x", cursor[:len(cursor)-4], position} {
			_, err = ann.OpenCursor("list", other)
			require.Error(t, err)
		}
		_, err = ann.OpenCursor("another list", cursor)
		require.Error(t, err)
		_, err = bob.OpenCursor("list", cursor)
		require.Error(t, err)
	}
	require.Len(t, ann.SealCursor("list", "a"), len(ann.SealCursor("list", "acme/app")))
}

// TestAuthorizeOnce: what a handler has authorised is not asked again by the operations of the
// Backend.
func TestAuthorizeOnce(t *testing.T) {
	asked := 0
	s := registrytest.NewServer(t, &registry.Options{Authorizer: auth.AuthorizerFunc(
		func(context.Context, auth.Identity, []auth.Access) error { asked++; return nil })})
	require.NoError(t, registrytest.RandomImage(1, 1, 10).Push(t.Context(), s.Store, "app", "v1"))
	c := newCaller(t, s.Registry, "ann")
	pull := auth.Access{Type: auth.TypeRepository, Name: "app", Action: auth.Pull}
	require.NoError(t, c.Authorize(t.Context(), pull))
	for _, err := range c.Backend().Tags(t.Context(), "app", nil) {
		require.NoError(t, err)
	}
	require.Equal(t, 2, asked, "once for the repository, and once for the tag in the list")
	pull.Name = "other"
	require.NoError(t, c.Authorize(t.Context(), pull))
	require.Equal(t, 3, asked)
}

func TestRegistryAllows(t *testing.T) {
	broken := errors.New("broken")
	s := registrytest.NewServer(t, &registry.Options{Authorizer: auth.AuthorizerFunc(
		func(_ context.Context, i auth.Identity, _ []auth.Access) error {
			return map[string]error{"ann": nil, "": auth.ErrDenied, "eve": broken}[i.Name]
		})})
	pull := auth.Access{Type: auth.TypeRepository, Name: "app", Action: auth.Pull}
	ok, err := s.Registry.Allows(t.Context(), auth.Identity{Name: "ann"}, pull)
	require.NoError(t, err)
	require.True(t, ok)
	ok, err = s.Registry.Allows(t.Context(), auth.Identity{}, pull)
	require.NoError(t, err)
	require.False(t, ok)
	_, err = s.Registry.Allows(t.Context(), auth.Identity{Name: "eve"}, pull)
	require.ErrorIs(t, err, registry.ErrInternal)
}
