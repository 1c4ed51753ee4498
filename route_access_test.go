package registry_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"iter"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// principals are the callers, by the value of the header Principal, with their accesses in the form
// of the token protocol.
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
	"":           nil,
	"reader":     {"repository:a:pull"},
	"writer":     {"repository:a:pull", "repository:a:push"},
	"overwriter": {"repository:a:pull", "repository:a:push", "repository:a:overwrite"},
	"deleter":    {"repository:a:delete"},
	"admin":      {"*"},
	"other":      {"repository:b:*", "repository:a/b:*"},
}

var (
	readers  = []string{"reader", "writer", "overwriter", "admin"}
	writers  = []string{"writer", "overwriter", "admin"}
	deleters = []string{"deleter", "admin"}
)

// access lists, for each OpKind, the callers that may use it in the repository a, and a call of it
// on a Backend. Every OpKind must be here. Tests find the routes by their Kind.
var access = map[registry.OpKind]struct {
	allowed []string
	call    func(ctx context.Context, b registry.Backend, img *registrytest.Content) error
}{
	registry.OpGetManifest: {readers, func(ctx context.Context, b registry.Backend, img *registrytest.Content) error {
		_, err := b.GetManifest(ctx, "a", reference.Ref{Digest: img.Descriptor.Digest})
		return err
	}},
	registry.OpStatManifest: {readers, func(ctx context.Context, b registry.Backend, _ *registrytest.Content) error {
		_, err := b.StatManifest(ctx, "a", reference.Ref{Tag: "v1"}, nil)
		return err
	}},
	registry.OpOpenBlob: {readers, func(ctx context.Context, b registry.Backend, img *registrytest.Content) error {
		blob, err := b.OpenBlob(ctx, "a", digest.FromBytes(img.Blobs[0]), nil)
		if err == nil {
			err = blob.Body.Close()
		}
		return err
	}},
	registry.OpStatBlob: {readers, func(ctx context.Context, b registry.Backend, img *registrytest.Content) error {
		_, err := b.StatBlob(ctx, "a", digest.FromBytes(img.Blobs[0]), nil)
		return err
	}},
	registry.OpRenew: {writers, func(ctx context.Context, b registry.Backend, img *registrytest.Content) error {
		err := error(registry.ErrDenied)
		opts := &registry.StatOptions{Renew: func(context.Context) bool { err = nil; return true }}
		if _, serr := b.StatBlob(ctx, "a", digest.FromBytes(img.Blobs[0]), opts); serr != nil {
			return serr
		}
		return err
	}},
	registry.OpTags: {readers, func(ctx context.Context, b registry.Backend, _ *registrytest.Content) error {
		return drain(b.Tags(ctx, "a", nil))
	}},
	registry.OpReferrers: {readers, func(ctx context.Context, b registry.Backend, img *registrytest.Content) error {
		return drain(b.Referrers(ctx, "a", img.Descriptor.Digest, nil))
	}},
	registry.OpPutManifest: {writers, func(ctx context.Context, b registry.Backend, img *registrytest.Content) error {
		_, err := b.PutManifest(ctx, "a", img.Descriptor.MediaType, img.Manifest,
			&registry.PutOptions{Tags: []registry.TagPut{{Name: "v2"}}})
		return err
	}},
	registry.OpCreateUpload: {writers, func(ctx context.Context, b registry.Backend, _ *registrytest.Content) error {
		_, err := b.CreateUpload(ctx, "a", nil)
		return err
	}},
	registry.OpMountBlob: {writers, func(ctx context.Context, b registry.Backend, img *registrytest.Content) error {
		_, err := b.MountBlob(ctx, "a", digest.FromBytes(img.Blobs[0]), nil)
		return err
	}},
	registry.OpResumeUpload: {writers, func(ctx context.Context, b registry.Backend, _ *registrytest.Content) error {
		_, err := b.ResumeUpload(ctx, "a", "id", nil)
		return err
	}},
	registry.OpAppend: {writers, onUpload(func(ctx context.Context, u registry.Upload) error {
		_, err := u.Append(ctx, 0, 1, strings.NewReader("x"))
		return err
	})},
	registry.OpCommit: {writers, onUpload(func(ctx context.Context, u registry.Upload) error {
		_, err := u.Commit(ctx, digest.FromString("x"), &registry.Chunk{Length: 1, Body: strings.NewReader("x")})
		return err
	})},
	registry.OpCancel: {writers, onUpload(func(ctx context.Context, u registry.Upload) error { return u.Cancel(ctx) })},
	registry.OpDeleteManifest: {deleters, func(ctx context.Context, b registry.Backend, img *registrytest.Content) error {
		return b.DeleteManifest(ctx, "a", reference.Ref{Digest: img.Descriptor.Digest}, nil)
	}},
	registry.OpDeleteTag: {deleters, func(ctx context.Context, b registry.Backend, _ *registrytest.Content) error {
		return b.DeleteManifest(ctx, "a", reference.Ref{Tag: "v1"}, nil)
	}},
	registry.OpDeleteBlob: {deleters, func(ctx context.Context, b registry.Backend, img *registrytest.Content) error {
		return b.DeleteBlob(ctx, "a", digest.FromBytes(img.Blobs[0]), nil)
	}},
	registry.OpDeleteRepository: {deleters, func(ctx context.Context, b registry.Backend, _ *registrytest.Content) error {
		return b.DeleteRepository(ctx, "a", nil)
	}},
	registry.OpHistory: {readers, func(ctx context.Context, b registry.Backend, _ *registrytest.Content) error {
		return drain(b.History(ctx, "a", nil))
	}},
	registry.OpRestore: {writers, func(ctx context.Context, b registry.Backend, _ *registrytest.Content) error {
		_, err := b.Restore(ctx, "a", reference.Ref{Tag: "v1"}, nil)
		return err
	}},
	registry.OpRepositories: {[]string{"admin"}, func(ctx context.Context, b registry.Backend,
		_ *registrytest.Content) error {
		return drain(b.Repositories(ctx, nil))
	}},
}

// onUpload calls f with an upload of the same identity. The identity may have lost its access since
// it began the upload.
func onUpload(f func(context.Context, registry.Upload) error) func(context.Context, registry.Backend,
	*registrytest.Content) error {
	return func(ctx context.Context, b registry.Backend, _ *registrytest.Content) error {
		u, err := b.CreateUpload(context.WithValue(ctx, begun{}, true), "a", nil)
		if err != nil {
			return err
		}
		return f(ctx, u)
	}
}

// begun marks a context in which every principal has full access, so that a test can begin uploads.
type begun struct{}

func drain[T any](list iter.Seq2[T, error]) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// untouchable is a body that must not be read. The client sends it only after a 100 response.
type untouchable struct{ read atomic.Bool }

func (u *untouchable) Read([]byte) (int, error) { u.read.Store(true); return 0, io.EOF }

// calls records the operations that reach the backend.
type calls struct {
	mu   sync.Mutex
	made []registry.OpKind
}

func (c *calls) intercept(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
	c.mu.Lock()
	c.made = append(c.made, op.Kind)
	c.mu.Unlock()
	return next(ctx)
}

func (c *calls) take() []registry.OpKind {
	c.mu.Lock()
	defer c.mu.Unlock()
	made := c.made
	c.made = nil
	return made
}

// TestAccessTable: the table has every OpKind of op.go, every method of Backend and Upload is an
// OpKind, and every OpKind of a route is in the table.
func TestAccessTable(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "op.go", nil, 0)
	require.NoError(t, err)
	kinds := 0
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && len(spec.Values) == 1 {
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				kinds++
				require.Contains(t, access, registry.OpKind(strings.Trim(lit.Value, `"`)))
			}
		}
		return true
	})
	require.Equal(t, len(access), kinds)
	for _, of := range []reflect.Type{reflect.TypeFor[registry.Backend](), reflect.TypeFor[registry.Upload]()} {
		for i := range of.NumMethod() {
			if name := of.Method(i).Name; name != "ID" && name != "Name" && name != "Size" && name != "backend" {
				require.Contains(t, access, registry.OpKind(name))
			}
		}
	}
	for _, route := range registry.Routes("a", "v1", sha256Zeros, "c", "id") {
		if route.Kind != "" {
			require.Contains(t, access, route.Kind, "%s %s", route.Method, route.Path)
		}
	}
}

// TestRouteAccess requests all routes as all principals, over real HTTP. A caller without access is
// refused before the registry reads the body or calls the backend. The response does not depend on
// whether the target exists. If names are resolved, the access to the resolved name counts.
func TestRouteAccess(t *testing.T) {
	t.Run("name in the path", func(t *testing.T) { testRouteAccess(t, "a", "c", "", nil) })
	t.Run("resolved name", func(t *testing.T) {
		// Each principal has access to the repository that the path names, or to none.
		resolve := func(q registry.NameQuery) (string, error) {
			name := map[string]string{"up.example/b": "a", "up.example/a/b": "c"}[q.Namespace+"/"+q.Repository]
			if name == "" {
				return "", registry.ErrNameUnknown
			}
			return name, nil
		}
		testRouteAccess(t, "b", "a/b", "up.example", resolve)
	})
}

// testRouteAccess requests the routes of a repository, with the parameter ns unless it is "". from
// is the source of mounts. If resolve is not nil, it leads from these to the repositories a and c.
func testRouteAccess(t *testing.T, repo, from, ns string, resolve func(registry.NameQuery) (string, error)) {
	var made calls
	img := registrytest.RandomImage(1, 1, 10)
	newStore := func() registry.Backend {
		store := registrytest.NewStore(t)
		require.NoError(t, img.Push(context.Background(), store, "a", "v1"))
		return store
	}
	options := &registry.Options{Authenticator: testPrincipals, Authorizer: testPrincipals, Resolve: resolve,
		Interceptors: []registry.Interceptor{made.intercept}}
	request := func(b registry.Backend, route registry.RouteInfo, principal string) (*response, *untouchable) {
		c := serve(t, b, options)
		c.http.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
		body := &untouchable{}
		var send any
		header := []string{"Principal: " + principal}
		switch route.Method {
		case http.MethodPost, http.MethodPut, http.MethodPatch:
			send, header = body, append(header, "Expect: 100-continue")
		}
		made.take()
		a := c.do(route.Method, route.Path, send, header...)
		a.Header.Del("Date")
		return a, body
	}
	for _, route := range registry.Routes(repo, "v1", string(img.Descriptor.Digest), from, "id") {
		if route.Kind == "" { // /v2/
			continue
		}
		if ns != "" && route.Kind != registry.OpRepositories {
			route.Path = withNamespace(route.Path, ns)
		}
		require.Contains(t, access, route.Kind, "%s %s has no rule here", route.Method, route.Path)
		for principal := range testPrincipals {
			a, body := request(newStore(), route, principal)
			called := made.take()
			name := principal + " " + route.Method + " " + route.Path
			if strings.Contains(route.Path, "ns=") {
				require.Equal(t, ns, a.Header.Get("OCI-Namespace"), name)
			}
			if slices.Contains(access[route.Kind].allowed, principal) {
				require.NotContains(t, []int{401, 403}, a.StatusCode, name)
				require.True(t, len(called) > 0 || a.StatusCode == 400 || a.StatusCode == 416, "%s: %d %s", name, a.StatusCode,
					a.body)
				continue
			}
			want := http.StatusForbidden
			if principal == "" {
				want = http.StatusUnauthorized
				require.Contains(t, a.Header.Get("WWW-Authenticate"), `Test scope="re`, name)
			}
			require.Equal(t, want, a.StatusCode, "%s: %s", name, a.body)
			require.Equal(t, "no-store", a.Header.Get("Cache-Control"), name)
			require.Empty(t, called, name)
			require.False(t, body.read.Load(), name)
			nothing, _ := request(registrytest.NewStore(t), route, principal)
			require.Equal(t, a.StatusCode, nothing.StatusCode, name)
			require.Equal(t, string(a.body), string(nothing.body), name)
			require.Equal(t, a.Header, nothing.Header, name)
		}
		for principal, want := range map[string]int{"forged": 401, "broken": 500} {
			a, body := request(newStore(), route, principal)
			require.Equal(t, want, a.StatusCode)
			require.Empty(t, made.take())
			require.False(t, body.read.Load())
			require.NotContains(t, string(a.body), "secret-of-the-host")
			require.Equal(t, want == 401, a.Header.Get("WWW-Authenticate") != "")
			require.Equal(t, want == 401, a.Header.Get("Cache-Control") == "no-store")
		}
	}
}

// withNamespace returns a path with the parameter ns.
func withNamespace(path, ns string) string {
	if strings.Contains(path, "?") {
		return path + "&ns=" + ns
	}
	return path + "?ns=" + ns
}

// TestBackendAccess checks the same table against Registry.Backend.
func TestBackendAccess(t *testing.T) {
	var made calls
	authorizer := auth.AuthorizerFunc(func(ctx context.Context, identity auth.Identity, accesses []auth.Access) error {
		if ctx.Value(begun{}) != nil {
			return nil
		}
		return testPrincipals.Authorize(ctx, identity, accesses)
	})
	img := registrytest.RandomImage(1, 1, 10)
	for kind, row := range access {
		for principal := range testPrincipals {
			name := principal + " " + string(kind)
			store, err := storage.New(t.Context(), memory.New(nil), &storage.Options{Grace: 1}) // a delete needs old content
			require.NoError(t, err)
			require.NoError(t, img.Push(t.Context(), store, "a", "v1"))
			reg, err := registry.New(store, &registry.Options{Authorizer: authorizer,
				Interceptors: []registry.Interceptor{made.intercept}})
			require.NoError(t, err)
			made.take()
			err = row.call(t.Context(), reg.Backend(auth.Identity{Name: principal}), img)
			called := made.take()
			switch {
			case slices.Contains(row.allowed, principal):
				require.False(t, errors.Is(err, registry.ErrDenied) || errors.Is(err, registry.ErrUnauthorized), "%s: %v", name,
					err)
				if kind != registry.OpResumeUpload { // here the upload belongs to another identity
					require.Contains(t, called, kind, name)
				}
			case principal == "":
				require.ErrorIs(t, err, registry.ErrUnauthorized, name)
				require.NotContains(t, called, kind, name)
			default:
				require.ErrorIs(t, err, registry.ErrDenied, name)
				require.NotContains(t, called, kind, name)
			}
		}
	}
}

// TestOverwriteAccess: creating a tag and overwriting one are distinct permissions for each tag,
// over HTTP and for Go calls.
func TestOverwriteAccess(t *testing.T) {
	one, two := registrytest.RandomImage(1, 1, 10), registrytest.RandomImage(2, 1, 10)
	for principal := range testPrincipals {
		for _, tags := range [][]string{{"new"}, {"v1"}, {"new", "v1"}} {
			store := registrytest.NewStore(t)
			require.NoError(t, one.Push(t.Context(), store, "a", "v1"))
			require.NoError(t, two.Push(t.Context(), store, "a"))
			opts := &registry.Options{Authenticator: testPrincipals, Authorizer: testPrincipals}
			reg, err := registry.New(store, opts)
			require.NoError(t, err)
			put := &registry.PutOptions{Digest: two.Descriptor.Digest}
			for _, tag := range tags {
				put.Tags = append(put.Tags, registry.TagPut{Name: tag})
			}
			want, wantErr := http.StatusCreated, error(nil)
			switch {
			case principal == "":
				want, wantErr = http.StatusUnauthorized, registry.ErrUnauthorized
			case !slices.Contains(writers, principal):
				want, wantErr = http.StatusForbidden, registry.ErrDenied
			case principal == "writer" && slices.Contains(tags, "v1"):
				want, wantErr = http.StatusConflict, registry.ErrTagExists
			}
			name := principal + " " + strings.Join(tags, " ")
			_, err = reg.Backend(auth.Identity{Name: principal}).PutManifest(t.Context(), "a", two.Descriptor.MediaType,
				two.Manifest, put)
			require.Equal(t, wantErr == nil, err == nil, "%s: %v", name, err)
			require.ErrorIs(t, err, wantErr, name)
			require.NoError(t, one.Push(t.Context(), store, "a", "v1")) // restores the tag
			a := serve(t, store, opts).do("PUT", "/v2/a/manifests/"+string(put.Digest)+"?tag="+strings.Join(tags, "&tag="),
				two.Manifest,
				"Principal: "+principal, "Content-Type: "+two.Descriptor.MediaType)
			require.Equal(t, want, a.StatusCode, "%s: %s", name, a.body)
		}
	}
}

func TestBaseEndpointChallengesAnonymous(t *testing.T) {
	_, c := newRegistry(t, nil)
	for _, path := range []string{"/v2/", "/v2"} {
		require.Equal(t, "{}", string(c.want(200, "GET", path, nil).body))
		c.want(200, "HEAD", path, nil)
		require.Equal(t, "GET, HEAD", c.refused(405, "UNSUPPORTED", "POST", path, "x").Header.Get("Allow"))
	}
	_, c = newRegistry(t, &registry.Options{Authenticator: testPrincipals, Authorizer: testPrincipals})
	refused := c.refused(401, "UNAUTHORIZED", "GET", "/v2/", nil)
	require.Equal(t, `Test scope=""`, refused.Header.Get("WWW-Authenticate"))
	require.Equal(t, "no-store", refused.Header.Get("Cache-Control"))
	c.refused(401, "UNAUTHORIZED", "GET", "/v2/", nil, "Principal: forged")
	c.want(200, "GET", "/v2/", nil, "Principal: reader")
	_, c = newRegistry(t, &registry.Options{Authenticator: testPrincipals})
	c.want(200, "GET", "/v2/", nil)
}

// TestRequestIsAuthorizedOnce: a request's later operations do not check again an access that has
// been granted to the request.
func TestRequestIsAuthorizedOnce(t *testing.T) {
	var asked [][]auth.Access
	_, c := newRegistry(t, &registry.Options{Authorizer: auth.AuthorizerFunc(func(_ context.Context, _ auth.Identity,
		accesses []auth.Access) error {
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
	count(2, "PUT", "/v2/a/manifests/v1", img.Manifest) // the second checks overwrite access to the tag
	count(1, "GET", "/v2/a/manifests/v1", nil)
	count(1, "HEAD", "/v2/a/blobs/"+string(digest.FromBytes(img.Blobs[0])), nil)
	location := c.startUpload("a")
	count(1, "PUT", location+"?digest="+string(digest.FromString("x")), "x")
	count(2, "POST", "/v2/b/blobs/uploads/?from=a&mount="+string(digest.FromString("x")), nil) // one is of the source
}
