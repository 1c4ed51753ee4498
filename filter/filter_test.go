package filter_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/filter"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kit runs the backend kit on a filter around stores in memory.
func kit(t *testing.T, wrap func(t *testing.T, b registry.Backend) registry.Backend, opts registrytest.Options) {
	opts.LargeSize, opts.Appends = 1<<20, 100
	registrytest.TestBackend(t, func(t *testing.T) registry.Backend { return wrap(t, registrytest.NewStore(t)) }, &opts)
}

func TestReadOnly(t *testing.T) {
	var store registry.Backend
	kit(t, func(_ *testing.T, b registry.Backend) registry.Backend {
		store = b
		return filter.ReadOnly(b)
	}, registrytest.Options{ReadOnly: func(*testing.T, registry.Backend) registry.Backend { return store }})
}

func TestSub(t *testing.T) {
	kit(t, func(t *testing.T, b registry.Backend) registry.Backend {
		// Other tenants with similar names have the same content.
		for _, repo := range []string{"tenant", "tenant-a/b", "tenant.zz/b", "tenan/t", "tenant0/a", "zzz/a", "a/b"} {
			require.NoError(t, registrytest.RandomImage(1, 1, 100).Push(t.Context(), b, repo, "v1"))
		}
		s, err := filter.Sub(b, "tenant")
		require.NoError(t, err)
		return s
	}, registrytest.Options{MaxName: 255 - len("tenant/")})
}

func TestSubOfSub(t *testing.T) {
	kit(t, func(t *testing.T, b registry.Backend) registry.Backend {
		outer, err := filter.Sub(b, "a/b")
		require.NoError(t, err)
		inner, err := filter.Sub(outer, "c")
		require.NoError(t, err)
		return inner
	}, registrytest.Options{MaxName: 255 - len("a/b/c/")})
}

func TestObserve(t *testing.T) {
	kit(t, func(_ *testing.T, b registry.Backend) registry.Backend {
		return filter.Observe(b, func(context.Context, *registry.Op, time.Duration, error) {})
	}, registrytest.Options{})
}

func TestLog(t *testing.T) {
	kit(t, func(_ *testing.T, b registry.Backend) registry.Backend {
		return filter.Log(b, slog.New(slog.DiscardHandler))
	}, registrytest.Options{})
}

func TestAuthorize(t *testing.T) {
	all := auth.AuthorizerFunc(func(context.Context, auth.Identity, []auth.Access) error { return nil })
	kit(t, func(t *testing.T, b registry.Backend) registry.Backend {
		a, err := filter.Authorize(b, all, auth.Identity{Name: registrytest.DefaultOwner})
		require.NoError(t, err)
		return a
	}, registrytest.Options{FillsOwner: true})
}

// TestFiltersAroundFilters runs the kit on filters around filters.
func TestFiltersAroundFilters(t *testing.T) {
	var store registry.Backend
	kit(t, func(t *testing.T, b registry.Backend) registry.Backend {
		store = b
		s, err := filter.Sub(b, "tenant")
		require.NoError(t, err)
		a, err := filter.Authorize(s, auth.AuthorizerFunc(func(_ context.Context, _ auth.Identity,
			accesses []auth.Access) error {
			for _, access := range accesses {
				if strings.Contains(access.Name, "tenant") {
					return auth.ErrDenied // filters inside Sub see names without the prefix
				}
			}
			return nil
		}), auth.Identity{Name: registrytest.DefaultOwner})
		require.NoError(t, err)
		return filter.Log(filter.ReadOnly(a), slog.New(slog.DiscardHandler))
	}, registrytest.Options{MaxName: 255 - len("tenant/"), ReadOnly: func(t *testing.T,
		_ registry.Backend) registry.Backend {
		s, err := filter.Sub(store, "tenant")
		require.NoError(t, err)
		return s
	}})
}

func TestRefused(t *testing.T) {
	_, err := filter.Authorize(registrytest.NewStore(t), nil, auth.Identity{})
	require.Error(t, err, "there is no authorizer")
	_, err = filter.Authorize(nil, auth.AuthorizerFunc(nil), auth.Identity{})
	require.Error(t, err)
	_, err = filter.Sub(nil, "a")
	require.Error(t, err)
	for _, prefix := range []string{"", "/", "a/", "/a", "A", "..", "a//b", strings.Repeat("x", 254)} {
		_, err := filter.Sub(registrytest.NewStore(t), prefix)
		require.ErrorIs(t, err, reference.ErrName, "%q", prefix)
	}
	_, err = filter.Sub(registrytest.NewStore(t), strings.Repeat("x", 253))
	require.NoError(t, err)
}

// TestSubMounts checks that a mount neither reads from other tenants nor asks about them.
func TestSubMounts(t *testing.T) {
	b := registrytest.NewStore(t)
	content := []byte("secret")
	d := digest.FromBytes(content)
	push := func(repo string) {
		_, err := registry.PushBlob(t.Context(), b, repo, d, bytes.NewReader(content))
		require.NoError(t, err)
	}
	push("other/a")
	push("tenant-b")
	push("tenant")
	s, err := filter.Sub(b, "tenant")
	require.NoError(t, err)
	var asked []string
	allow := func(repo string) error {
		asked = append(asked, repo)
		return nil
	}
	for _, from := range []string{"", "other/a", "tenant", "tenant/a", "a"} {
		for _, f := range []func(string) error{nil, allow} {
			_, err := s.MountBlob(t.Context(), "to", d, &registry.MountOptions{From: from, Allow: f})
			require.ErrorIs(t, err, registry.ErrBlobUnknown, "from %q", from)
		}
	}
	for _, repo := range asked {
		require.Contains(t, []string{"other/a", "tenant", "tenant/a", "a"}, repo, "only what was named is asked about")
	}
	push("tenant/a")
	asked = nil
	_, err = s.MountBlob(t.Context(), "to", d, &registry.MountOptions{Allow: allow})
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, asked)
	_, err = b.StatBlob(t.Context(), "tenant/to", d, nil)
	require.NoError(t, err)
}

// TestSubErrorsHidePrefix checks that errors contain only the tenant's own names.
func TestSubErrorsHidePrefix(t *testing.T) {
	s, err := filter.Sub(registrytest.NewStore(t), "tenant")
	require.NoError(t, err)
	for _, err := range []error{
		s.DeleteRepository(t.Context(), "a", nil), s.DeleteRepository(t.Context(), "A", nil),
		s.DeleteRepository(t.Context(), strings.Repeat("x", 250), nil),
		first(s.Tags(t.Context(), "a", nil)), first(s.Tags(t.Context(), "-", nil)),
	} {
		var e *registry.Error
		require.ErrorAs(t, err, &e)
		require.NotContains(t, e.Message(), "tenant")
		if e.Detail() != nil {
			require.Equal(t, map[string]string{"name": "a"}, e.Detail())
		}
	}
}

// first returns the error of a list.
func first(list func(yield func(string, error) bool)) (err error) {
	for _, err = range list {
		break
	}
	return err
}

func TestObserved(t *testing.T) {
	type seen struct {
		kind   registry.OpKind
		repo   string
		result digest.Digest
		err    error
	}
	var mu sync.Mutex
	var all []seen
	b := filter.Observe(registrytest.NewStore(t), func(_ context.Context, op *registry.Op, took time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		require.GreaterOrEqual(t, took, time.Duration(0))
		all = append(all, seen{op.Kind, op.Repository, op.Result.Digest, err})
	})
	d := digest.FromString("x")
	_, err := registry.PushBlob(t.Context(), b, "a", d, strings.NewReader("x"))
	require.NoError(t, err)
	_, err = b.GetManifest(t.Context(), "a", reference.Ref{Tag: "v1"})
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	require.Equal(t, []seen{
		{registry.OpCreateUpload, "a", "", nil}, {registry.OpAppend, "a", "", nil}, {registry.OpCommit, "a", d, nil},
		{registry.OpGetManifest, "a", "", err},
	}, all)
}

func TestLogged(t *testing.T) {
	var buf bytes.Buffer
	var faults registrytest.Faults
	b := registry.Intercept(registrytest.NewStore(t), faults.Intercept)
	b = filter.Log(b, slog.New(slog.NewTextHandler(&buf,
		&slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "took" {
				return slog.Attr{}
			}
			return a
		}})))
	u, err := b.CreateUpload(t.Context(), "a", nil)
	require.NoError(t, err)
	_, err = u.Append(t.Context(), 0, -1, strings.NewReader("x"))
	require.NoError(t, err)
	require.NoError(t, u.Cancel(t.Context()))
	img := registrytest.Index()
	require.NoError(t, img.Push(t.Context(), b, "a", "v1", "v2"))
	_, err = b.StatManifest(t.Context(), "a", reference.Ref{Tag: "v3"}, nil)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	faults.Fail(1, errors.New("disk on fire"))
	_, err = b.StatManifest(t.Context(), "a", reference.Ref{Tag: "v1"}, nil)
	require.EqualError(t, err, "disk on fire")
	require.NotContains(t, buf.String(), u.ID())
	d := string(img.Descriptor.Digest)
	require.Equal(t, `level=INFO msg=registry op=CreateUpload repository=a
level=INFO msg=registry op=Append repository=a size=1
level=INFO msg=registry op=Cancel repository=a
level=INFO msg=registry op=PutManifest repository=a reference=`+d+` tags="[v1 v2]" digest=`+d+` size=88
level=WARN msg=registry op=StatManifest repository=a reference=v3 error="MANIFEST_UNKNOWN: manifest unknown to registry"
level=ERROR msg=registry op=StatManifest repository=a reference=v1 error="disk on fire"
`, buf.String())
}

// TestAuthorizeBeforeLookup checks that each operation asks for its access before anything is
// looked up.
func TestAuthorizeBeforeLookup(t *testing.T) {
	store := registrytest.NewStore(t)
	img := registrytest.RandomImage(1, 1, 10)
	require.NoError(t, img.Push(t.Context(), store, "public/a", "v1"))
	require.NoError(t, img.Push(t.Context(), store, "private/a", "v1"))
	reader := auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, accesses []auth.Access) error {
		require.Equal(t, "bob", who.Name)
		for _, a := range accesses {
			catalog := a.Type == auth.TypeRegistry
			if !catalog && (a.Action != auth.Pull || !strings.HasPrefix(a.Name, "public/")) &&
				!strings.HasPrefix(a.Name, "bob/") || a.Action == auth.Overwrite {
				return auth.ErrDenied
			}
		}
		return nil
	})
	b, err := filter.Authorize(store, reader, auth.Identity{Name: "bob"})
	require.NoError(t, err)
	_, err = b.GetManifest(t.Context(), "public/a", reference.Ref{Tag: "v1"})
	require.NoError(t, err)
	for _, repo := range []string{"private/a", "private/none"} {
		_, err = b.GetManifest(t.Context(), repo, reference.Ref{Tag: "v1"})
		require.ErrorIs(t, err, registry.ErrDenied)
	}
	require.ErrorIs(t, b.DeleteRepository(t.Context(), "public/a", nil), registry.ErrDenied)
	var names []string
	for name, err := range b.Repositories(t.Context(), nil) {
		require.NoError(t, err)
		names = append(names, name)
	}
	require.Equal(t, []string{"public/a"}, names)
	d := digest.FromBytes(img.Blobs[1])
	_, err = b.MountBlob(t.Context(), "bob/x", d, &registry.MountOptions{From: "private/a"})
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	_, err = b.MountBlob(t.Context(), "bob/x", d, nil)
	require.NoError(t, err, "public/a may be pulled from")
	require.NoError(t, img.Push(t.Context(), b, "bob/x", "v1"))
	require.ErrorIs(t, registrytest.Index().Push(t.Context(), b, "bob/x", "v1"), registry.ErrTagExists,
		"bob may not overwrite")
}

// TestFilterAroundNil checks that every operation of a filter around nil fails, and that nil
// observers are fine.
func TestFilterAroundNil(t *testing.T) {
	store := registrytest.NewStore(t)
	for name, b := range map[string]registry.Backend{"ReadOnly": filter.ReadOnly(nil),
		"Observe": filter.Observe(nil, nil), "Log": filter.Log(nil, nil)} {
		_, err := b.StatBlob(t.Context(), "a", digest.FromString("x"), nil)
		require.ErrorIs(t, err, registry.ErrUnsupported, name)
	}
	for name, b := range map[string]registry.Backend{"Observe": filter.Observe(store, nil),
		"Log": filter.Log(store, nil)} {
		require.NoError(t, registrytest.RandomImage(1, 1, 10).Push(t.Context(), b, "a", "v1"), name)
	}
}

// TestSubHidesPrefixOfRemoteErrors checks that the prefix in an error of another registry reaches
// the log only.
func TestSubHidesPrefixOfRemoteErrors(t *testing.T) {
	responses := map[string]string{
		"message":  `"message":"no access to /v2/tenants/acme/x"`,
		"escaped":  `"message":"no access to /v2/Tenants%2Facme%2fx"`,
		"detail":   `"message":"no","detail":{"name":"tenants\/acme/x"}`,
		"prefix":   `"message":"tenants/acme: over quota"`,
		"key":      `"message":"no","detail":[{"tenants/\u0061cme/x":1}]`,
		"harmless": `"message":"for people","detail":{"name":"x"}`,
	}
	for name, body := range responses {
		up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				w.Header().Set("Location", r.URL.Path+"the-upload")
				w.WriteHeader(http.StatusAccepted)
				return
			}
			if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/blobs/") {
				w.Header().Set("Content-Length", "5")
				return
			}
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED",`+body+`}]}`)
		}))
		defer up.Close()
		tr := &http.Transport{}
		defer tr.CloseIdleConnections()
		c, err := client.New(up.URL, &client.Options{HTTPClient: &http.Client{Transport: tr}})
		require.NoError(t, err)
		s, err := filter.Sub(c, "tenants/acme")
		require.NoError(t, err)
		ctx, d := t.Context(), digest.FromString("x")

		_, got := s.GetManifest(ctx, "x", reference.Ref{Tag: "v1"})
		errs := []error{got, s.DeleteBlob(ctx, "x", d, nil)}
		for _, err := range s.Tags(ctx, "x", nil) {
			errs = append(errs, err)
		}
		for _, err := range s.Repositories(ctx, nil) {
			errs = append(errs, err)
		}
		u, err := s.CreateUpload(ctx, "x", nil)
		require.NoError(t, err)
		_, appended := u.Append(ctx, 0, 1, strings.NewReader("x"))
		_, committed := u.Commit(ctx, d, nil)
		blob, err := s.OpenBlob(ctx, "x", d, nil)
		require.NoError(t, err)
		_, read := io.ReadAll(blob.Body)
		require.NoError(t, blob.Body.Close())
		errs = append(errs, appended, committed, u.Cancel(ctx), read)
		require.Len(t, errs, 8)
		for _, err := range errs {
			var e *registry.Error
			require.ErrorAs(t, err, &e, name)
			require.ErrorIs(t, err, registry.ErrDenied, name)
			if name == "harmless" {
				require.Equal(t, "for people", e.Message())
				require.NotNil(t, e.Detail())
				continue
			}
			require.Equal(t, registry.ErrDenied.Message(), e.Message(), name)
			require.Nil(t, e.Detail(), name)
			var cause *client.Error
			require.ErrorAs(t, err, &cause, name)
		}
	}
}
