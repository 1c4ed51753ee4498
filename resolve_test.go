package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/registrytest"
)

// byHost is an Options.Resolve that puts each repository below the host in ns. It records the queries.
type byHost struct {
	mu      sync.Mutex
	queries []registry.NameQuery
}

func (b *byHost) resolve(q registry.NameQuery) (string, error) {
	b.mu.Lock()
	b.queries = append(b.queries, q)
	b.mu.Unlock()
	switch q.Namespace {
	case "":
		return q.Repository, nil
	case "unknown.example":
		return "", registry.ErrNameUnknown
	case "long.example":
		return strings.Repeat("x", 256), nil
	case "down.example":
		return "", errors.New("the table of upstreams cannot be read: secret-of-the-host")
	}
	return strings.Replace(q.Namespace, ":", "/", 1) + "/" + q.Repository, nil
}

func (b *byHost) take() []registry.NameQuery {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queries
	b.queries = nil
	return q
}

// TestNamespaceForms: the parameter ns is a host with an optional port. Anything else is refused at
// every endpoint, before Resolve is called. Without Resolve it is ignored.
func TestNamespaceForms(t *testing.T) {
	var b byHost
	_, with := newRegistry(t, &registry.Options{Resolve: func(q registry.NameQuery) (string, error) {
		_, _ = b.resolve(q) // not every host can be a part of a name
		return q.Repository, nil
	}})
	_, without := newRegistry(t, nil)
	long := strings.Repeat("a.", 126) // 252 bytes
	for _, ok := range []string{"docker.io", "DOCKER.io", "registry.example:5000", "localhost", "10.0.0.1:443",
		"[::1]:5000",
		"[2001:DB8::1]", "a-b.example", "x", long + "abc", "1.2.3"} {
		a := with.do("GET", "/v2/a/tags/list?ns="+url.QueryEscape(ok), nil)
		require.Equal(t, ok, a.Header.Get("OCI-Namespace"), ok)
		q := b.take()
		require.Len(t, q, 1)
		require.Equal(t, strings.ToLower(ok), q[0].Namespace)
		require.Equal(t, "a", q[0].Repository)
	}
	for _, bad := range []string{"", "https://docker.io", "docker.io/library", "user@docker.io", "docker.io ",
		" docker.io",
		"docker .io", "docker.io\n", "docker.io\x00", "docker.io:", "docker.io:0", "docker.io:65536", "docker.io:http",
		"docker.io:+80", "docker.io:080", "docker.io:80:80", ":80", ".", "docker..io", "docker.io.", ".docker.io",
		"-docker.io",
		"docker-.io", "dock_er.io", "döcker.io", "::1", "[::1", "[::1]x", "[::1]:", "[docker.io]", "[10.0.0.1]",
		"[fe80::1%25e]",
		"[fe80::1%e]", "[]", "docker.io?x=y", "docker.io#x", "docker.io,ghcr.io", "docker.io;x", "*", long + "abcd",
		strings.Repeat("a", 64) + ".io", `docker.io"`, `docker.io\`, "docker.io\r\nX: y"} {
		for _, route := range registry.Routes("a", "v1", sha256Zeros, "c", "id") {
			a := with.want(http.StatusBadRequest, route.Method, withNamespace(route.Path, url.QueryEscape(bad)), nil)
			require.Empty(t, a.Header.Get("OCI-Namespace"))
			if route.Method != http.MethodHead {
				require.Equal(t, "NAME_INVALID", a.errors(t)[0].Code, "%q", bad)
			}
		}
		path := withNamespace("/v2/a/tags/list", url.QueryEscape(bad))
		require.NotEqual(t, http.StatusBadRequest, without.do("GET", path, nil).StatusCode, "%q", bad)
	}
	with.refused(400, "NAME_INVALID", "GET", "/v2/a/tags/list?ns=docker.io&ns=docker.io", nil)
	with.refused(400, "NAME_INVALID", "GET", "/v2/?ns=docker.io&ns=ghcr.io", nil)
	with.refused(400, "UNSUPPORTED", "GET", "/v2/a/tags/list?ns=%zz", nil)
	require.Empty(t, b.take())
	for _, path := range []string{"/v2/?ns=docker.io", "/v2/_catalog?ns=docker.io"} { // no repository to resolve
		require.Empty(t, with.want(200, "GET", path, nil).Header.Get("OCI-Namespace"))
	}
	require.Empty(t, b.take())
	require.Empty(t, without.do("GET", "/v2/a/tags/list?ns=docker.io", nil).Header.Get("OCI-Namespace"))
}

// TestResolveErrorsBecomeResponses: what Resolve returns is what the client gets.
func TestResolveErrorsBecomeResponses(t *testing.T) {
	var b byHost
	var asked []auth.Access
	authorizer := auth.AuthorizerFunc(func(_ context.Context, _ auth.Identity, accesses []auth.Access) error {
		asked = append(asked, accesses...)
		return nil
	})
	logger := slog.New(slog.DiscardHandler)
	_, c := newRegistry(t, &registry.Options{Resolve: b.resolve, Authorizer: authorizer, Logger: logger})
	for _, route := range registry.Routes("a", "v1", sha256Zeros, "c", "id") {
		if !strings.HasPrefix(route.Path, "/v2/a/") {
			continue
		}
		for ns, want := range map[string]int{"unknown.example": 404, "long.example": 400, "down.example": 500} {
			a := c.want(want, route.Method, withNamespace(route.Path, ns), nil)
			require.Empty(t, a.Header.Get("OCI-Namespace"))
			require.NotContains(t, string(a.body), "secret-of-the-host")
		}
	}
	require.Empty(t, asked, "no caller is asked about a name that does not resolve")
}

// TestResolvedNames pushes and pulls by a name that is resolved. The Backend, the Authorizer and the
// events see the resolved name; the client sees its own in every response, with ns in URLs.
func TestResolvedNames(t *testing.T) {
	var b byHost
	var mu sync.Mutex
	var names []string
	note := func(name string) { mu.Lock(); defer mu.Unlock(); names = append(names, name) }
	opts := &registry.Options{
		Resolve: b.resolve, PageSize: 1,
		Authorizer: auth.AuthorizerFunc(func(_ context.Context, _ auth.Identity, accesses []auth.Access) error {
			for _, a := range accesses {
				note(a.Name)
			}
			return nil
		}),
		Audit: func(_ context.Context, d auth.Decision) {
			for _, a := range d.Accesses {
				note(a.Name)
			}
		},
		Sink: notification.SinkFunc(func(_ context.Context, e notification.Event) error {
			note(e.Repository)
			return nil
		}),
	}
	opts.Interceptors = []registry.Interceptor{
		func(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
			note(op.Repository)
			return next(ctx)
		},
	}
	s, c := newRegistry(t, opts)
	const ns, mapped = "Up.Example:5000", "up.example/5000/a"
	require.NotEmpty(t, s)
	add := func(location string, query string) string {
		u, err := url.Parse(location)
		require.NoError(t, err)
		require.Equal(t, ns, u.Query().Get("ns"), location)
		require.True(t, strings.HasPrefix(u.Path, "/v2/a/"), location)
		return location + "&" + query
	}
	img := registrytest.RandomImage(1, 1, 10)
	for i, blob := range img.Blobs {
		d := string(digest.FromBytes(blob))
		if i == 0 {
			at := c.want(202, "POST", "/v2/a/blobs/uploads/?ns="+ns, nil).Header.Get("Location")
			at = c.want(202, "PATCH", at, blob).Header.Get("Location")
			c.want(204, "GET", at, nil)
			a := c.want(201, "PUT", add(at, "digest="+d), nil)
			c.want(200, "HEAD", a.Header.Get("Location"), nil)
			continue
		}
		a := c.want(201, "POST", "/v2/a/blobs/uploads/?ns="+ns+"&digest="+d, blob)
		add(a.Header.Get("Location"), "")
	}
	for _, tag := range []string{"v1", "v2"} {
		a := c.want(201, "PUT", "/v2/a/manifests/"+tag+"?ns="+ns, img.Manifest, "Content-Type: "+img.Descriptor.MediaType)
		require.Equal(t, ns, a.Header.Get("OCI-Namespace"))
		add(a.Header.Get("Location"), "")
	}
	for _, method := range []string{"GET", "HEAD"} {
		for _, path := range []string{"manifests/v1", "manifests/" + string(img.Descriptor.Digest),
			"blobs/" + string(digest.FromBytes(img.Blobs[0])), "referrers/" + sha256Zeros} {
			require.Equal(t, ns, c.want(200, method, "/v2/a/"+path+"?ns="+ns, nil).Header.Get("OCI-Namespace"), path)
		}
	}
	require.Equal(t, ns, c.want(404, "GET", "/v2/a/manifests/none?ns="+ns, nil).Header.Get("OCI-Namespace"))
	require.Equal(t, ns, c.want(404, "HEAD", "/v2/a/blobs/"+sha256Zeros+"?ns="+ns, nil).Header.Get("OCI-Namespace"))

	// The list has the name of the client, and its link leads to the next page.
	a := c.want(200, "GET", "/v2/a/tags/list?n=1&ns="+ns, nil)
	var list struct {
		Name string
		Tags []string
	}
	require.NoError(t, json.Unmarshal(a.body, &list))
	require.Equal(t, "a", list.Name)
	require.Equal(t, []string{"v1"}, list.Tags)
	next := a.next(t)
	add(next, "")
	require.NoError(t, json.Unmarshal(c.want(200, "GET", next, nil).body, &list))
	require.Equal(t, []string{"v2"}, list.Tags)

	c.want(202, "DELETE", "/v2/a/manifests/v2?ns="+ns, nil)
	require.NotEmpty(t, names)
	for _, name := range names {
		require.Equal(t, mapped, name)
	}
	for _, q := range b.take() {
		require.Equal(t, "a", q.Repository)
		require.Equal(t, "up.example:5000", q.Namespace)
		write := q.Request.Method != "GET" && q.Request.Method != "HEAD" || strings.Contains(q.Request.URL.Path, "/uploads/")
		require.Equal(t, write, q.Write, "%s %s", q.Request.Method, q.Request.URL)
	}
	// Without ns it is another repository.
	c.refused(404, "MANIFEST_UNKNOWN", "GET", "/v2/a/manifests/v1", nil)
	c.want(200, "GET", "/v2/"+mapped+"/manifests/v1", nil)
}

// TestReferrersLinkKeepsNamespace: the pages of referrers stay in the namespace.
func TestReferrersLinkKeepsNamespace(t *testing.T) {
	var b byHost
	_, c := newRegistry(t, &registry.Options{Resolve: b.resolve, PageSize: 1})
	img := registrytest.RandomImage(1, 1, 10)
	c.push("up.example/a", img)
	for i := range 2 {
		c.push("up.example/a", registrytest.Artifact("application/x.test", img.Descriptor,
			map[string]string{"n": fmt.Sprint(i)}))
	}
	path := "/v2/a/referrers/" + string(img.Descriptor.Digest) + "?ns=up.example&artifactType=application/x.test"
	a := c.want(200, "GET", path, nil)
	next := a.next(t)
	require.Contains(t, next, "ns=up.example")
	require.Contains(t, next, "/v2/a/referrers/")
	require.NotEqual(t, string(a.body), string(c.want(200, "GET", next, nil).body))
}

// TestMountSourceIsResolved: the parameter from is a name of the client, too. A source that does not
// resolve makes the client upload the blob.
func TestMountSourceIsResolved(t *testing.T) {
	var b byHost
	_, c := newRegistry(t, &registry.Options{Resolve: b.resolve})
	d := string(c.pushBlob("up.example/from", []byte("content")))
	mount := "/v2/a/blobs/uploads/?mount=" + d + "&from=from"
	c.want(202, "POST", mount, nil)
	b.take()
	a := c.want(201, "POST", mount+"&ns=up.example", nil)
	require.Equal(t, "/v2/a/blobs/"+d+"?ns=up.example", a.Header.Get("Location"))
	q := b.take()
	require.Len(t, q, 2)
	require.Equal(t, "from", q[1].Repository)
	require.True(t, q[0].Write)
	require.False(t, q[1].Write)
	c.want(200, "GET", "/v2/up.example/a/blobs/"+d, nil)

	_, c = newRegistry(t, &registry.Options{Resolve: func(q registry.NameQuery) (string, error) {
		if q.Repository == "from" {
			return "", registry.ErrNameUnknown
		}
		return q.Repository, nil
	}})
	c.pushBlob("from2", []byte("content"))
	c.want(202, "POST", mount, nil)
	c.want(201, "POST", strings.Replace(mount, "=from", "=from2", 1), nil)
}

// hiddenTags is a Backend whose repositories have more tags than one page examines.
type hiddenTags struct{ registry.Unimplemented }

func (hiddenTags) Tags(_ context.Context, _ string, opts *registry.ListOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for i := range 1 << 17 {
			if tag := fmt.Sprintf("hidden%06d", i); tag > opts.After && !yield(tag, nil) {
				return
			}
		}
	}
}

// TestCursorsOfNamespacesAreApart: a cursor that hides a name is of no use in another namespace.
func TestCursorsOfNamespacesAreApart(t *testing.T) {
	var b byHost
	c := serve(t, hiddenTags{}, &registry.Options{Resolve: b.resolve, Authorizer: auth.AuthorizerFunc(
		func(_ context.Context, _ auth.Identity, accesses []auth.Access) error {
			for _, a := range accesses {
				if strings.HasPrefix(a.Tag, "hidden") {
					return auth.ErrDenied
				}
			}
			return nil
		})})
	next := c.want(200, "GET", "/v2/a/tags/list?ns=one.example", nil).next(t)
	c.want(200, "GET", next, nil)
	c.refused(400, "TAG_INVALID", "GET", strings.Replace(next, "one.example", "two.example", 1), nil)
}

// FuzzNamespace: an accepted ns is the host of a URL and nothing else, and what Resolve gets is
// accepted again.
func FuzzNamespace(f *testing.F) {
	for _, s := range []string{"docker.io", "Registry.Example:5000", "[::1]:80", "[::FFFF:1.2.3.4]", "1.2.3.4", "a..b",
		"a:b", "a%2fb",
		"a@b", "[::1%25eth0]", "x:65536"} {
		f.Add(s)
	}
	var b byHost
	reg, err := registry.New(registrytest.NewStore(f), &registry.Options{Resolve: b.resolve})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, ns string) {
		get := func(ns string) (int, http.Header) {
			w := httptest.NewRecorder()
			reg.ServeHTTP(w, httptest.NewRequest("GET", "/v2/a/tags/list?ns="+url.QueryEscape(ns), nil))
			return w.Code, w.Header()
		}
		status, h := get(ns)
		queries := b.take()
		if status == http.StatusBadRequest && len(queries) == 0 {
			require.Empty(t, h.Get("OCI-Namespace"))
			return
		}
		require.Len(t, queries, 1)
		got := queries[0].Namespace
		require.Equal(t, strings.ToLower(ns), got)
		require.LessOrEqual(t, len(got), 255)
		u, err := url.Parse("https://" + got + "/v2/")
		require.NoError(t, err)
		require.Equal(t, got, u.Host)
		require.Nil(t, u.User)
		require.Equal(t, "/v2/", u.Path)
		require.Empty(t, u.RawQuery+u.Fragment)
		again, _ := get(got)
		require.Equal(t, status, again)
		require.Len(t, b.take(), 1)
	})
}
