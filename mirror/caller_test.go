package mirror_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror"
)

// credentials are headers of a caller.
func basic(username, password string) []string {
	req := http.Request{Header: http.Header{}}
	req.SetBasicAuth(username, password)
	return []string{"Authorization", req.Header.Get("Authorization")}
}

func passThrough(u *mirror.Upstream, _ *mirror.Options) { u.PassThrough = true }

// TestPassThrough: cached content is served only to callers who have proved at the upstream that
// they may pull from the very repository.
func TestPassThrough(t *testing.T) {
	r := newRig(t, passThrough)
	r.up.RequireLogin(func(username, password, repo string) bool {
		return password == "right" && (username == "ann" || username == "bob" && repo == "b/open")
	})
	desc, man := r.image("v1")
	open, _ := r.up.Image("b/open", "v1", random(100))
	base := r.serve(nil)
	paths := func(name string, d, blob string) []string {
		return []string{name + "/manifests/v1", name + "/manifests/" + d, name + "/blobs/" + blob, name + "/tags/list",
			name + "/referrers/" + d}
	}
	private := paths("/v2/"+repo, string(desc.Digest), string(man.Layers[1].Digest))
	ask := func(who []string, status int, paths ...string) {
		t.Helper()
		for _, path := range paths {
			for _, method := range []string{"HEAD", "GET"} {
				if method == "HEAD" && (path == private[3] || path == private[4]) {
					continue
				}
				res, body := do(t, method, base+path, who...)
				require.Equal(t, status, res.StatusCode, "%s %s: %s", method, path, body)
				challenge := res.Header.Get("WWW-Authenticate")
				require.Equal(t, status == http.StatusUnauthorized, challenge == `Basic realm="upstream"`, challenge)
				require.NotContains(t, body, r.up.URL)
			}
		}
	}
	refusals := func() {
		t.Helper()
		ask(nil, http.StatusUnauthorized, private...)
		ask(basic("ann", "wrong"), http.StatusForbidden, private...)
		ask(basic("bob", "right"), http.StatusForbidden, private...)
		ask([]string{"Authorization", "Bearer x"}, http.StatusUnauthorized, private...)
	}
	ask(basic("bob", "right"), http.StatusOK, "/v2/"+upName+"/b/open/manifests/"+string(open.Digest))
	refusals()
	ask(basic("ann", "right"), http.StatusOK, private...)
	refusals() // although it is cached now
	ask(basic("bob", "right"), http.StatusOK, "/v2/"+upName+"/b/open/manifests/"+string(open.Digest))
	ask(basic("bob", "right"), http.StatusForbidden, private...)

	// The names of private repositories are not in the catalog.
	_, body := do(t, "GET", base+"/v2/_catalog", basic("bob", "right")...)
	require.NotContains(t, body, repo)

	// Within the proof, cached content costs nothing.
	r.up.Forget()
	ask(basic("ann", "right"), http.StatusOK, private[0], private[1], private[2])
	require.Zero(t, r.up.Count("", ""))
}

// TestPassThroughProofsEnd: after Upstream.Proof the right is proved again, and if the upstream
// cannot be asked then, the answer is 503.
func TestPassThroughProofsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigInMemory(t, func(u *mirror.Upstream, _ *mirror.Options) {
			u.PassThrough, u.Proof, u.TagTTL = true, time.Minute, time.Hour
		})
		allowed := true
		r.up.RequireLogin(func(username, _, _ string) bool { return allowed && username == "ann" })
		desc, _ := r.image("v1")
		handler := r.handler(nil)
		get := func() int {
			req, err := http.NewRequestWithContext(context.Background(), "GET",
				"http://mirror.test/v2/"+repo+"/manifests/"+string(desc.Digest), nil)
			require.NoError(t, err)
			req.SetBasicAuth("ann", "right")
			return record(handler, req).Code
		}
		require.Equal(t, 200, get())
		r.up.Forget()
		require.Equal(t, 200, get())
		require.Zero(t, r.up.Count("", ""))
		time.Sleep(time.Minute)
		require.Equal(t, 200, get())
		require.Equal(t, [3]int{1, 0, 0}, r.requests())

		time.Sleep(time.Minute)
		repair := r.up.Break(upstreamtest.Match{}, upstreamtest.Status(500))
		require.Equal(t, 503, get())
		repair()
		time.Sleep(2 * time.Minute)
		require.Equal(t, 200, get())

		allowed = false
		r.up.Revoke()
		require.Equal(t, 200, get(), "within the proof")
		time.Sleep(time.Minute)
		require.Equal(t, 403, get())
	})
}

// TestPassThroughCallersAreApart: what one caller may not see is not remembered as missing for
// others, and one caller's credentials are never used for another.
func TestPassThroughCallersAreApart(t *testing.T) {
	r := newRig(t, passThrough)
	base := r.serve(nil)
	r.image("v1")
	hide := r.up.Break(upstreamtest.Match{Kind: upstreamtest.Manifest}, func(reply *upstreamtest.Reply) {
		if user, _, _ := reply.Request.BasicAuth(); user != "ann" {
			upstreamtest.Status(404)(reply) // as registries do that hide private repositories
		}
	})
	defer hide()
	r.up.Break(upstreamtest.Match{Kind: upstreamtest.Manifest}, func(reply *upstreamtest.Reply) {
		if _, _, ok := reply.Request.BasicAuth(); !ok {
			upstreamtest.Status(401, "Www-Authenticate", `Basic realm="up"`)(reply)
		}
	})
	path := base + "/v2/" + repo + "/manifests/v1"
	for range 2 {
		res, _ := do(t, "GET", path, basic("bob", "x")...)
		require.Equal(t, 404, res.StatusCode)
		res, _ = do(t, "GET", path, basic("ann", "x")...)
		require.Equal(t, 200, res.StatusCode)
		res, _ = do(t, "GET", path)
		require.Equal(t, 401, res.StatusCode)
	}
	for _, req := range r.up.Requests() {
		require.NotContains(t, req.Header.Values("Cookie"), "x")
	}
}

// TestMiddlewareLeavesOthersAlone: requests to other upstreams and to the store keep their
// credentials, for the Authenticator.
func TestMiddlewareLeavesOthersAlone(t *testing.T) {
	up := mirror.Upstream{URLs: []string{"http://127.0.0.1:1"}}
	private, public := up, up
	private.Name, private.PassThrough, private.Hosts = "private.example", true, []string{"p.mirror.example"}
	public.Name = "public.example"
	m, err := newNamed(t, []mirror.Upstream{private, public}, nil)
	require.NoError(t, err)
	for path, kept := range map[string]bool{
		"/v2/":                                           true,
		"/v2/mine/app/manifests/v1":                      true,
		"/v2/public.example/a/app/manifests/v1":          true,
		"/v2/private.example/a/app/manifests/v1":         false,
		"/v2/private.example/a/app/blobs/sha256:0":       false,
		"/v2/private.example/a/app/blobs/uploads/":       false,
		"/v2/private.example/a/app/tags/list":            false,
		"/v2/private.example/a/app/referrers/sha256:0":   false,
		"/v2/private.example/a/blobs/manifests/v1":       false,
		"/v2/a/app/manifests/v1?ns=private.example":      false,
		"/v2/a/app/manifests/v1?ns=public.example":       true,
		"/v2/private.example/a/app/manifests/v1?ns=x.io": true,
		"/other/private.example/a/app/manifests/v1":      true,
	} {
		req, err := http.NewRequest("GET", "http://mirror.test"+path, nil)
		require.NoError(t, err)
		req.SetBasicAuth("ann", "right")
		var got http.Header
		record(m.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header })), req)
		require.Equal(t, kept, got.Get("Authorization") != "", path)
		require.NotEmpty(t, req.Header.Get("Authorization"), "the request of the server is not changed")
	}
}

// TestPassThroughDeletes: a delete does not tell a caller without a right what is cached. The program
// itself may delete.
func TestPassThroughDeletes(t *testing.T) {
	r := newRig(t, passThrough)
	r.up.RequireLogin(func(username, _, _ string) bool { return username == "ann" })
	desc, man := r.image("v1")
	base := r.serve(nil)
	layer := "/blobs/" + string(man.Layers[0].Digest)
	ask := func(method, path, who string) int {
		t.Helper()
		res, _ := do(t, method, base+"/v2/"+repo+path, basic(who, "x")...)
		return res.StatusCode
	}
	for _, path := range []string{"/manifests/v1", layer} {
		require.Equal(t, http.StatusOK, ask("GET", path, "ann"))
	}
	r.settle()
	for _, path := range []string{"/manifests/v1", "/manifests/none", "/manifests/" + string(desc.Digest), layer} {
		require.Equal(t, http.StatusForbidden, ask("DELETE", path, "bob"), path)
	}
	require.Equal(t, http.StatusAccepted, ask("DELETE", "/manifests/v1", "ann"))
	require.NoError(t, r.m.DeleteManifest(t.Context(), repo, byDigest(desc.Digest), nil))
	require.NoError(t, r.m.DeleteRepository(t.Context(), repo, nil))
}

// TestPassThroughLimitsAreApart: a caller who exceeds a limit of the upstream, or of its token service,
// does not exceed it for others.
func TestPassThroughLimitsAreApart(t *testing.T) {
	for name, kind := range map[string]upstreamtest.Kind{"token": upstreamtest.Token, "manifest": upstreamtest.Manifest} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, passThrough)
			r.up.RequireLogin(func(_, _, _ string) bool { return true })
			r.image("v1")
			base := r.serve(nil)
			ask := func(who string) int {
				t.Helper()
				res, _ := do(t, "GET", base+"/v2/"+repo+"/manifests/v1", basic(who, "x")...)
				return res.StatusCode
			}
			r.up.Break(upstreamtest.Match{Kind: kind, Times: 1}, upstreamtest.Status(429, "Retry-After", "1000"))
			require.Equal(t, http.StatusTooManyRequests, ask("bob"))
			require.Equal(t, http.StatusOK, ask("ann"))
			r.up.Forget()
			require.Equal(t, http.StatusTooManyRequests, ask("bob"))
			require.Zero(t, r.up.Count("", ""))
		})
	}
}
