package registry_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// warning returns an Options whose interceptor calls f with the context of each operation.
func warning(f func(ctx context.Context)) *registry.Options {
	return &registry.Options{Interceptors: []registry.Interceptor{
		func(ctx context.Context, _ *registry.Op, next func(context.Context) error) error {
			ctx, cancel := context.WithCancel(context.WithValue(ctx, begun{}, true))
			defer cancel()
			f(ctx)
			return next(ctx)
		},
	}}
}

// TestWarnOnEveryResponse: a warning is on the response of every route, whether it succeeds or not.
func TestWarnOnEveryResponse(t *testing.T) {
	_, c := newRegistry(t, warning(func(ctx context.Context) {
		registry.Warn(ctx, registry.WarnStale, "Response is Stale")
	}))
	img := registrytest.RandomImage(1, 1, 10)
	c.push("a", img, "v1")
	const want = `110 - "Response is Stale"`
	for _, digest := range []string{string(img.Descriptor.Digest), sha256Zeros} {
		for _, route := range registry.Routes("a", "v1", digest, "c", "id") {
			if route.Kind == "" || route.Method == "PUT" && route.Kind == registry.OpPutManifest {
				continue // the manifest is refused before the backend is called
			}
			a := c.do(route.Method, route.Path, nil)
			require.Equal(t, []string{want}, a.Header["Warning"], "%s %s: %d", route.Method, route.Path, a.StatusCode)
		}
	}
	a := c.want(201, "PUT", "/v2/a/manifests/v1", img.Manifest, "Content-Type: "+img.Descriptor.MediaType)
	require.Equal(t, []string{want}, a.Header["Warning"])
	d := string(img.Descriptor.Digest)
	require.Equal(t, want, c.want(304, "GET", "/v2/a/manifests/v1", nil, `If-None-Match: "`+d+`"`).Header.Get("Warning"))
	blob := "/v2/a/blobs/" + string(digest.FromBytes(img.Blobs[0]))
	require.Equal(t, want, c.want(206, "GET", blob, nil, "Range: bytes=1-2").Header.Get("Warning"))
	require.Equal(t, want, c.want(416, "GET", blob, nil, "Range: bytes=100000-").Header.Get("Warning"))
	require.Empty(t, c.want(200, "GET", "/v2/", nil).Header["Warning"])
}

// warnsWhileServing is a Backend that warns in all ways: by itself, before an error, and too late.
type warnsWhileServing struct {
	registry.Unimplemented
	late chan context.Context
}

func (b *warnsWhileServing) StatManifest(ctx context.Context, _ string, ref reference.Ref,
	_ *registry.StatOptions) (ocispec.Descriptor, error) {
	registry.Warn(ctx, 299, "from the backend")
	return ocispec.Descriptor{}, registry.ErrManifestUnknown
}

func (b *warnsWhileServing) GetManifest(ctx context.Context, _ string, _ reference.Ref) (*registry.Manifest, error) {
	b.late <- ctx
	desc := ocispec.Descriptor{MediaType: "a/b", Digest: sha256Zeros, Size: 1}
	return &registry.Manifest{Descriptor: desc, Content: []byte("x")}, nil
}

// TestWarnFromBackend: warnings of a Backend, an Authorizer, and a context of middleware arrive. A
// warning after the response has begun, or without a request, changes nothing.
func TestWarnFromBackend(t *testing.T) {
	b := &warnsWhileServing{late: make(chan context.Context, 1)}
	reg, err := registry.New(b, &registry.Options{Authorizer: auth.AuthorizerFunc(
		func(ctx context.Context, _ auth.Identity, _ []auth.Access) error {
			registry.Warn(context.WithoutCancel(ctx), 299, "from the authorizer")
			return nil
		}), Authenticator: testPrincipals})
	require.NoError(t, err)
	c := newClient(t, startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		registry.Warn(r.Context(), 299, "nobody hears this")
		reg.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), begun{}, 1)))
	})))
	for _, principal := range []string{"", "reader"} {
		a := c.want(404, "HEAD", "/v2/a/manifests/v1", nil, "Principal: "+principal)
		require.Equal(t, []string{`299 - "from the authorizer"`, `299 - "from the backend"`}, a.Header["Warning"])
	}
	c.want(200, "GET", "/v2/a/manifests/v1", nil)
	registry.Warn(<-b.late, 299, "too late")
	registry.Warn(t.Context(), 299, "no request")
	_, err = reg.Backend(auth.Identity{}).StatManifest(t.Context(), "a", reference.Ref{Tag: "v1"}, nil)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
}

// TestWarnIsBoundedAndSafe: whatever a Backend passes, the header is well-formed, short, and has no
// more than five values.
func TestWarnIsBoundedAndSafe(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   `299 - ""`,
		"plain text":                         `299 - "plain text"`,
		`a "quoted" \ text`:                  `299 - "a \"quoted\" \\ text"`,
		"line\r\nSet-Cookie: a=b":            `299 - "line??Set-Cookie: a=b"`,
		"tab\tnul\x00del\x7f":                `299 - "tab?nul?del?"`,
		"ü\xff":                              `299 - "???"`,
		strings.Repeat("x", 201):             `299 - "` + strings.Repeat("x", 200) + `"`,
		strings.Repeat(`"`, 100_000) + "end": `299 - "` + strings.Repeat(`\"`, 200) + `"`,
	} {
		_, c := newRegistry(t, warning(func(ctx context.Context) { registry.Warn(ctx, 299, text) }))
		require.Equal(t, []string{want}, c.do("GET", "/v2/a/tags/list", nil).Header["Warning"])
	}
	_, c := newRegistry(t, warning(func(ctx context.Context) {
		for _, code := range []int{-1, 0, 99, 1000, 1 << 40} {
			registry.Warn(ctx, code, "no code")
		}
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() { registry.Warn(ctx, 100+i%100, "many") })
		}
		wg.Wait()
	}))
	require.Len(t, c.do("GET", "/v2/a/tags/list", nil).Header["Warning"], 5)
	_, c = newRegistry(t, warning(func(ctx context.Context) {
		for range 10 {
			registry.Warn(ctx, 299, "again")
		}
	}))
	require.Len(t, c.do("GET", "/v2/a/tags/list", nil).Header["Warning"], 1)
}

// TestWarnWithoutRequestAllocatesNothing: a Backend can call Warn wherever it runs.
func TestWarnWithoutRequestAllocatesNothing(t *testing.T) {
	ctx := context.WithValue(t.Context(), begun{}, true)
	require.Zero(t, testing.AllocsPerRun(100, func() { registry.Warn(ctx, 299, "no request") }))
}

// TestRangeHint: a Backend learns the single range of a GET, before the size is known.
func TestRangeHint(t *testing.T) {
	b := &hinted{hints: make(chan *registry.ByteRange, 1)}
	c := serve(t, b, nil)
	d := digest.FromString("x")
	path := "/v2/a/blobs/" + string(d)
	part := func(first, length int64) *registry.ByteRange {
		return &registry.ByteRange{First: first, Length: length}
	}
	tag := `If-Range: "` + string(d) + `"`
	for _, x := range []struct {
		want   *registry.ByteRange
		header []string
	}{
		{nil, nil},
		{part(5, 5), []string{"Range: bytes=5-9"}},
		{part(0, 1), []string{"Range: bytes=0-0"}},
		{part(0, 10), []string{"Range:  BYTES = 0-9"}},
		{part(5, -1), []string{"Range: bytes=5-"}},
		{part(-1, 5), []string{"Range: bytes=-5"}},
		{part(7, -1), []string{"Range: bytes=7-9223372036854775807"}},
		{part(7, -1), []string{"Range: bytes=7-99999999999999999999"}},
		{nil, []string{"Range: bytes=0-"}},
		{nil, []string{"Range: bytes=0-99999999999999999999"}},
		{nil, []string{"Range: bytes=99999999999999999999-"}},
		{nil, []string{"Range: bytes=-0"}},
		{nil, []string{"Range: bytes=-99999999999999999999"}},
		{nil, []string{"Range: bytes=9-5"}},
		{nil, []string{"Range: bytes=1-2,4-5"}},
		{nil, []string{"Range: bytes=1-2", "Range: bytes=4-5"}},
		{nil, []string{"Range: bytes=x"}},
		{nil, []string{"Range: bytes="}},
		{nil, []string{"Range: bytes"}},
		{nil, []string{"Range: items=1-2"}},
		{nil, []string{"Range: bytes=-"}},
		{nil, []string{"Range: bytes=--5"}},
		{part(5, 5), []string{"Range: bytes=5-9", tag}},
		{nil, []string{"Range: bytes=5-9", `If-Range: "other"`}},
		{nil, []string{"Range: bytes=5-9", "If-Range: Wed, 21 Oct 2015 07:28:00 GMT"}},
	} {
		c.want(404, "GET", path, nil, x.header...)
		require.Equal(t, x.want, <-b.hints, "%q", x.header)
	}
}

// hinted is a Backend that records the hints of OpenBlob.
type hinted struct {
	registry.Unimplemented
	hints chan *registry.ByteRange
}

func (b *hinted) OpenBlob(_ context.Context, _ string, _ digest.Digest,
	opts *registry.OpenOptions) (*registry.Blob, error) {
	b.hints <- opts.Range
	return nil, registry.ErrBlobUnknown
}
