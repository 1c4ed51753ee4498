package registry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/registrytest"
)

// principals are who calls, by the name sent in the header Principal, and what they may do: accesses in the words of the token protocol.
type principals map[string][]string

func (principals) Authenticate(r *http.Request) (auth.Identity, error) {
	switch name := r.Header.Get("Principal"); name {
	case "forged":
		return auth.Identity{}, auth.ErrCredentials
	case "broken":
		return auth.Identity{}, errors.New("the user database is down: secret-of-the-host")
	default:
		return auth.Identity{Name: name}, nil
	}
}

func (principals) Challenge(_ *http.Request, accesses []auth.Access) string {
	scopes := []string{}
	for _, a := range accesses {
		scopes = append(scopes, a.String())
	}
	return `Test scope="` + strings.Join(scopes, " ") + `"`
}

func (p principals) Authorize(_ context.Context, identity auth.Identity, accesses []auth.Access) error {
	for _, a := range accesses {
		granted := p[identity.Name]
		everything := strings.Join([]string{a.Type, a.Name, "*"}, ":")
		if !slices.Contains(granted, a.String()) && !slices.Contains(granted, everything) && !slices.Contains(granted, "*") {
			return auth.ErrDenied
		}
	}
	return nil
}

var testPrincipals = principals{
	"":        nil,
	"reader":  {"repository:a:pull"},
	"writer":  {"repository:a:pull", "repository:a:push"},
	"deleter": {"repository:a:delete"},
	"admin":   {"*"},
	"other":   {"repository:b:*", "repository:a/b:*"},
}

// allowed says which principals may do what. Every operation that a route has must be here.
var allowed = map[registry.Kind][]string{
	registry.OpGetManifest:    {"reader", "writer", "admin"},
	registry.OpStatManifest:   {"reader", "writer", "admin"},
	registry.OpOpenBlob:       {"reader", "writer", "admin"},
	registry.OpStatBlob:       {"reader", "writer", "admin"},
	registry.OpTags:           {"reader", "writer", "admin"},
	registry.OpReferrers:      {"reader", "writer", "admin"},
	registry.OpPutManifest:    {"writer", "admin"},
	registry.OpCreateUpload:   {"writer", "admin"},
	registry.OpMountBlob:      {"writer", "admin"},
	registry.OpResumeUpload:   {"writer", "admin"},
	registry.OpAppend:         {"writer", "admin"},
	registry.OpCommit:         {"writer", "admin"},
	registry.OpCancel:         {"writer", "admin"},
	registry.OpDeleteManifest: {"deleter", "admin"},
	registry.OpDeleteTag:      {"deleter", "admin"},
	registry.OpDeleteBlob:     {"deleter", "admin"},
	registry.OpRepositories:   {"admin"},
}

// untouchable is a body that must not be read.
type untouchable struct{ read bool }

func (u *untouchable) Read([]byte) (int, error) { u.read = true; return 0, io.EOF }

// TestRouteAccess walks all routes as all principals. Who is not allowed is refused before the body is read and before the backend is
// asked anything, with the same answer whether there is such a thing or not.
func TestRouteAccess(t *testing.T) {
	var mu sync.Mutex
	var called []registry.Kind
	record := func(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
		mu.Lock()
		called = append(called, op.Kind)
		mu.Unlock()
		return next(ctx)
	}
	img := registrytest.RandomImage(1, 1, 10)
	newStore := func() registry.Backend {
		store := registrytest.NewStore(t)
		require.NoError(t, img.Push(context.Background(), store, "a", "v1"))
		return store
	}
	options := &registry.Options{Authenticator: testPrincipals, Authorizer: testPrincipals, Interceptors: []registry.Interceptor{record}}
	request := func(b registry.Backend, route registry.RouteInfo, principal string) (*httptest.ResponseRecorder, *untouchable) {
		reg, err := registry.New(b, options)
		require.NoError(t, err)
		body := &untouchable{}
		req := httptest.NewRequest(route.Method, route.Path, body)
		req.Header.Set("Principal", principal)
		w := httptest.NewRecorder()
		called = nil
		reg.ServeHTTP(w, req)
		return w, body
	}
	for _, route := range registry.Routes("a", "v1", string(img.Descriptor.Digest), "c", "id") {
		if route.Kind == "" { // /v2/
			continue
		}
		require.Contains(t, allowed, route.Kind, "%s %s has no rule here", route.Method, route.Path)
		for principal := range testPrincipals {
			w, body := request(newStore(), route, principal)
			name := principal + " " + route.Method + " " + route.Path
			if slices.Contains(allowed[route.Kind], principal) {
				require.NotContains(t, []int{401, 403}, w.Code, name)
				require.True(t, len(called) > 0 || w.Code == 400 || w.Code == 416, "%s: %d %s", name, w.Code, w.Body)
				continue
			}
			want := http.StatusForbidden
			if principal == "" {
				want = http.StatusUnauthorized
				require.Contains(t, w.Header().Get("WWW-Authenticate"), `Test scope="re`, name)
			}
			require.Equal(t, want, w.Code, "%s: %s", name, w.Body)
			require.Empty(t, called, name)
			require.False(t, body.read, name)
			nothing, _ := request(registrytest.NewStore(t), route, principal)
			require.Equal(t, w.Code, nothing.Code, name)
			require.Equal(t, w.Body.String(), nothing.Body.String(), name)
			require.Equal(t, w.Header(), nothing.Header(), name)
		}
		for principal, want := range map[string]int{"forged": 401, "broken": 500} {
			w, body := request(newStore(), route, principal)
			require.Equal(t, want, w.Code)
			require.Empty(t, called)
			require.False(t, body.read)
			require.NotContains(t, w.Body.String(), "secret-of-the-host")
			require.Equal(t, want == 401, w.Header().Get("WWW-Authenticate") != "")
		}
	}
}

func TestBase(t *testing.T) {
	_, c := newRegistry(t, nil)
	for _, path := range []string{"/v2/", "/v2"} {
		require.Equal(t, "{}", string(c.want(200, "GET", path, nil).body))
		c.want(200, "HEAD", path, nil)
		require.Equal(t, "GET, HEAD", c.refused(405, "UNSUPPORTED", "POST", path, "x").Header.Get("Allow"))
	}
	_, c = newRegistry(t, &registry.Options{Authenticator: testPrincipals, Authorizer: testPrincipals})
	require.Equal(t, `Test scope=""`, c.refused(401, "UNAUTHORIZED", "GET", "/v2/", nil).Header.Get("WWW-Authenticate"))
	c.refused(401, "UNAUTHORIZED", "GET", "/v2/", nil, "Principal: forged")
	c.want(200, "GET", "/v2/", nil, "Principal: reader")
	_, c = newRegistry(t, &registry.Options{Authenticator: testPrincipals})
	c.want(200, "GET", "/v2/", nil)
}

// TestAuthorizedOnce: what a request has been allowed is not asked again for each of its operations.
func TestAuthorizedOnce(t *testing.T) {
	var asked [][]auth.Access
	_, c := newRegistry(t, &registry.Options{Authorizer: auth.AuthorizerFunc(func(_ context.Context, _ auth.Identity, accesses []auth.Access) error {
		asked = append(asked, accesses)
		return nil
	})})
	img := registrytest.RandomImage(1, 1, 10)
	count := func(want int, method, path string, body any) {
		t.Helper()
		asked = nil
		require.Less(t, c.do(method, path, body).StatusCode, 300)
		require.Len(t, asked, want)
	}
	for _, blob := range img.Blobs {
		count(1, "POST", "/v2/a/blobs/uploads/?digest="+string(digest.FromBytes(blob)), blob)
	}
	count(2, "PUT", "/v2/a/manifests/v1", img.Manifest) // the second is whether the tag may be overwritten
	count(1, "GET", "/v2/a/manifests/v1", nil)
	count(1, "HEAD", "/v2/a/blobs/"+string(digest.FromBytes(img.Blobs[0])), nil)
	location := c.startUpload("a")
	count(1, "PUT", location+"?digest="+string(digest.FromString("x")), "x")
	count(2, "POST", "/v2/b/blobs/uploads/?from=a&mount="+string(digest.FromString("x")), nil) // the second is the source
}
