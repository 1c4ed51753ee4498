package mirror_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage/memory"
)

// TestUnknownNamespaceIsNeverDialled: a client cannot make the mirror connect to an address of its
// choice, by no parameter, header or path. The listener would see it.
func TestUnknownNamespaceIsNeverDialled(t *testing.T) {
	var dialled atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			dialled.Add(1)
			_ = c.Close()
		}
	}()
	var others atomic.Int64
	r := newRig(t, nil)
	up, err := url.Parse(r.up.URL)
	require.NoError(t, err)
	r = newRigOf(t, r.up, func(u *mirror.Upstream, o *mirror.Options) {
		o.Root = upName
		u.Transport = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != up.Host {
				others.Add(1)
				return nil, errors.New("not configured")
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}}
	})
	base := r.serve(nil)
	evil := l.Addr().String()
	digestOfNothing := string(digest.FromString(""))
	for _, ref := range []string{"manifests/latest", "manifests/" + digestOfNothing, "blobs/" + digestOfNothing,
		"tags/list", "referrers/" + digestOfNothing} {
		for ns, status := range map[string]int{
			evil: 404, "evil.example": 404, "localhost:1": 404, "up.example.": 400, "http://" + evil: 400,
			evil + "/path": 400, "user@" + evil: 400, "a b": 400, strings.Repeat("a", 256): 400, "": 400,
			"up.example\x00": 400, "[::1]:80": 404, "*": 400, "..": 400,
		} {
			if ns == "" || ns == "up.example." || ns == ".." {
				continue // whatever they mean, they must not be dialled
			}
			res, body := do(t, "GET", base+"/v2/a/app/"+ref+"?ns="+url.QueryEscape(ns))
			require.Equal(t, status, res.StatusCode, "%s %q %s", ref, ns, body)
			if status == 404 {
				require.Contains(t, body, "NAME_UNKNOWN")
			}
		}
		for _, path := range []string{"/v2/" + strings.ReplaceAll(evil, ":", "/") + "/x/", "/v2/evil.example/x/",
			"/v2/127.0.0.1/x/"} {
			do(t, "GET", base+path+ref)
		}
		do(t, "GET", base+"/v2/a/app/"+ref, "X-Forwarded-Host", evil, "Forwarded", "host="+evil, "Host", evil)
		do(t, "GET", base+"/v2/a/app/"+ref+"?ns="+upName+"&ns="+evil)
	}
	require.Zero(t, dialled.Load())
	require.Zero(t, others.Load())
}

// TestForeignLayersAreNotFetched: the mirror never follows the urls of a layer.
func TestForeignLayersAreNotFetched(t *testing.T) {
	var dialled atomic.Int64
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { dialled.Add(1) }))
	defer evil.Close()
	r := newRig(t, nil)
	d := digest.FromString("foreign")
	config := r.up.Blob("a/app", []byte("{}"))
	r.up.Manifest("a/app", "v1", "application/vnd.docker.distribution.manifest.v2+json", []byte(`{"schemaVersion":2,`+
		`"mediaType":"application/vnd.docker.distribution.manifest.v2+json",`+
		`"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"`+string(config.Digest)+`",`+
		`"size":2},`+
		`"layers":[{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"`+string(d)+
		`","size":7,"urls":["`+evil.URL+`/layer"]}]}`))
	_, err := r.m.GetManifest(t.Context(), repo, byTag("v1"))
	require.NoError(t, err)
	_, err = r.m.OpenBlob(t.Context(), repo, d, nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	require.Zero(t, dialled.Load())
}

// TestMembershipIsTheAccessCheck: a blob or manifest of one repository is not served from another,
// whether the other is of the store, of the same or of another upstream.
func TestMembershipIsTheAccessCheck(t *testing.T) {
	d := memory.New(nil)
	r := &rig{t: t, up: upstreamtest.New(t), store: registrytest.NewStore(t)}
	second := upstreamtest.New(t)
	var err error
	r.m, err = mirror.New(t.Context(), r.store, d, []mirror.Upstream{
		{Name: upName, URLs: []string{r.up.URL}}, {Name: "two.example", URLs: []string{second.URL}},
	}, nil)
	require.NoError(t, err)
	secret := random(20_000)
	d1 := digest.FromBytes(secret)
	image, _ := r.up.Image("a/app", "v1", secret)
	_, err = r.pull(t.Context(), repo, "v1")
	require.NoError(t, err)
	mine := random(20_000)
	_, err = registry.PushBlob(t.Context(), r.m, "mine/app", digest.FromBytes(mine), bytes.NewReader(mine))
	require.NoError(t, err)
	for _, name := range []string{upName + "/b/other", "two.example/a/app", "mine/app", "mine/other"} {
		_, err := r.m.OpenBlob(t.Context(), name, d1, nil)
		require.ErrorIs(t, err, registry.ErrBlobUnknown, name)
		_, err = r.m.StatBlob(t.Context(), name, d1, nil)
		require.ErrorIs(t, err, registry.ErrBlobUnknown, name)
		_, err = r.m.GetManifest(t.Context(), name, byDigest(image.Digest))
		require.ErrorIs(t, err, registry.ErrManifestUnknown, name)
	}
	for _, name := range []string{repo, upName + "/b/other", "two.example/a/app", "mine/other"} {
		_, err := r.m.OpenBlob(t.Context(), name, digest.FromBytes(mine), nil)
		require.ErrorIs(t, err, registry.ErrBlobUnknown, name)
	}

	// A manifest of another upstream that names the blob does not bring it: that upstream must send it.
	second.Image("a/app", "v1", secret)
	second.Delete("a/app", string(d1))
	second.Forget()
	desc, err := r.m.StatManifest(t.Context(), "two.example/a/app", byTag("v1"), nil)
	require.NoError(t, err)
	_, err = r.m.GetManifest(t.Context(), "two.example/a/app", byDigest(desc.Digest))
	require.NoError(t, err)
	second.Break(upstreamtest.Match{Kind: upstreamtest.Blob}, upstreamtest.Status(404))
	_, err = r.m.OpenBlob(t.Context(), "two.example/a/app", d1, nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	require.NotZero(t, second.Count("GET", upstreamtest.Blob))
}

// TestAuthorizerSeesTheMappedName: whichever way a client names a repository, the rules are about
// one name.
func TestAuthorizerSeesTheMappedName(t *testing.T) {
	r := newRig(t, func(u *mirror.Upstream, o *mirror.Options) {
		u.Hosts, u.Library, u.Aliases, o.Root = []string{"hub.mirror.example"}, "library", []string{"old.example"}, upName
	})
	var seen atomic.Value
	base := r.serve(&registry.Options{Authorizer: auth.AuthorizerFunc(
		func(_ context.Context, _ auth.Identity, accesses []auth.Access) error {
			seen.Store(accesses[0].Name)
			return auth.ErrDenied
		})})
	for _, path := range []string{"/v2/app/manifests/v1?ns=up.example", "/v2/up.example/app/manifests/v1",
		"/v2/up.example/library/app/manifests/v1?ns=up.example", "/v2/old.example/app/manifests/v1", "/v2/app/manifests/v1"} {
		seen.Store("")
		res, _ := do(t, "GET", base+path)
		require.Equal(t, http.StatusUnauthorized, res.StatusCode, path)
		require.Equal(t, "up.example/library/app", seen.Load(), path)
	}
	require.Zero(t, r.up.Count("", ""), "nothing is asked for a caller who may not pull")

	// In a Go call, an alias is no way around a rule about the mapped name.
	_, err := r.m.GetManifest(t.Context(), "old.example/app", byTag("v1"))
	require.ErrorIs(t, err, registry.ErrNameUnknown)
	_, err = r.m.PutManifest(t.Context(), "old.example/app", "", []byte("{}"), nil)
	require.ErrorIs(t, err, registry.ErrNameUnknown)
}

// TestCredentialsStayOut: no credentials of a caller reach an upstream or the log.
func TestCredentialsStayOut(t *testing.T) {
	var logged bytes.Buffer
	r := newRig(t, func(_ *mirror.Upstream, o *mirror.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	base := r.serve(nil)
	r.image("v1")
	for _, fault := range []upstreamtest.Fault{nil, upstreamtest.Status(401), upstreamtest.Status(500)} {
		if fault != nil {
			r.up.Break(upstreamtest.Match{}, fault)
		}
		do(t, "GET", base+"/v2/"+repo+"/manifests/v1", "Authorization", "Basic aHViOnBhc3N3b3Jk", "Cookie", "secret=1")
		do(t, "GET", base+"/v2/"+repo+"/manifests/v2", "Authorization", "Bearer a-token-of-the-caller")
	}
	for _, req := range r.up.Requests() {
		require.Empty(t, req.Header.Values("Authorization"))
		require.Empty(t, req.Header.Values("Cookie"))
	}
	require.NotContains(t, logged.String(), "aHViOnBhc3N3b3Jk")
	require.NotContains(t, logged.String(), "a-token-of-the-caller")
}

// TestLoopsEnd: mirrors that pull from each other refuse at once instead of asking each other for
// ever.
func TestLoopsEnd(t *testing.T) {
	start := func(handler *atomic.Pointer[http.Handler]) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			(*handler.Load()).ServeHTTP(w, r)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	var handlers [3]atomic.Pointer[http.Handler]
	var urls [3]string
	for i := range handlers {
		urls[i] = start(&handlers[i])
	}
	var requests atomic.Int64
	for i := range handlers { // 0 asks 1, 1 asks 2, 2 asks 0
		m, err := mirror.New(t.Context(), registrytest.NewStore(t), memory.New(nil),
			[]mirror.Upstream{{Name: upName, URLs: []string{urls[(i+1)%3]}}}, &mirror.Options{Root: upName})
		require.NoError(t, err)
		reg, err := registry.New(m, &registry.Options{Resolve: m.Resolve})
		require.NoError(t, err)
		inner := m.Middleware(reg)
		h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			inner.ServeHTTP(w, r)
		}))
		handlers[i].Store(&h)
	}
	for _, path := range []string{"/manifests/v1", "/manifests/" + string(digest.FromString("")),
		"/blobs/" + string(digest.FromString("")), "/tags/list"} {
		requests.Store(0)
		res, body := do(t, "GET", urls[0]+"/v2/a/app"+path)
		require.GreaterOrEqual(t, res.StatusCode, 400, body)
		require.LessOrEqual(t, requests.Load(), int64(8), path)

		// What a client puts before the names of the mirrors does not hide them.
		requests.Store(0)
		began := time.Now()
		res, body = do(t, "GET", urls[0]+"/v2/b/app"+path, "Via", "1.1 x, 1.1 "+strings.Repeat("x", 2<<10))
		require.GreaterOrEqual(t, res.StatusCode, 400, body)
		require.LessOrEqual(t, requests.Load(), int64(8), path)
		require.Less(t, time.Since(began), 8*time.Second, "the mirrors wait for each other")
	}
}
