package api_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/reference"
)

// withMirror returns a site with a mirror of an upstream that wants a password.
func withMirror(t *testing.T) (*site, *mirror.Mirror, *upstreamtest.Server) {
	t.Helper()
	upstream := upstreamtest.New(t)
	upstream.RequireLogin(func(_, password, _ string) bool { return password == "hunter2" })
	var m *mirror.Mirror
	s := newSite(t, func(s *site, opts *api.Options) {
		var err error
		m, err = mirror.New(t.Context(), s.store, s.driver, []mirror.Upstream{{
			Name: "hub.example", URLs: []string{upstream.URL}, Deny: []string{"bad/**"},
			Credentials: login.Static(login.Credentials{Username: "mirror", Password: "hunter2"}),
		}}, nil)
		require.NoError(t, err)
		opts.Mirror = m
	})
	return s, m, upstream
}

// TestMirror: admins see upstreams without secrets, refresh tags, and pin images.
func TestMirror(t *testing.T) {
	s, m, upstream := withMirror(t)
	old, _ := upstream.Image("library/app", "v1", []byte("one"))
	const repo = "hub.example/library/app"
	_, err := m.GetManifest(t.Context(), repo, reference.Ref{Tag: "v1"})
	require.NoError(t, err)

	var state types.Mirror
	got := s.do(t, "boss", "GET", "/v1/mirror", nil).want(200).into(&state)
	require.NotContains(t, string(got.body), "hunter2")
	require.Len(t, state.Upstreams, 1)
	u := state.Upstreams[0]
	require.Equal(t, "hub.example", u.Prefix)
	require.Equal(t, []string{upstream.URL}, u.URLs)
	require.Equal(t, []string{"bad/**"}, u.Deny)
	require.Positive(t, u.Requests["GET manifest"])
	require.Equal(t, int64(1), state.Misses)
	require.Equal(t, int64(600), u.TagTTL)
	require.Nil(t, u.Limit)
	require.False(t, u.Down)

	is, _ := upstream.Image("library/app", "v1", []byte("two"))
	require.NotEqual(t, old.Digest, is.Digest)
	for _, tag := range []string{"v1", ""} {
		var done types.Refreshed
		s.do(t, "boss", "POST", "/v1/mirror/refresh", types.Refresh{Repository: repo, Tag: tag}).want(200).into(&done)
		require.Equal(t, map[string]int{"v1": 1, "": 0}[tag], done.Changed)
	}
	served, err := m.GetManifest(t.Context(), repo, reference.Ref{Tag: "v1"})
	require.NoError(t, err)
	require.Equal(t, is.Digest, served.Descriptor.Digest)

	upstream.SetDown(true)
	s.do(t, "boss", "POST", "/v1/mirror/refresh", types.Refresh{Repository: repo, Tag: "v1"}).fails(503, "UNAVAILABLE")
	s.do(t, "boss", "POST", "/v1/mirror/refresh", types.Refresh{Repository: "acme/app"}).fails(404, "NAME_UNKNOWN")
	s.do(t, "boss", "POST", "/v1/mirror/refresh", types.Refresh{Repository: "UPPER"}).fails(400, "NAME_INVALID")
	s.do(t, "boss", "POST", "/v1/mirror/refresh", types.Refresh{Repository: repo, Tag: "?"}).fails(400, "TAG_INVALID")
	s.do(t, "boss", "POST", "/v1/mirror/refresh", `{"repository":"a","x":1}`).fails(400, "INVALID")
}

// TestPins: pins are a set, in pages.
func TestPins(t *testing.T) {
	s, _, upstream := withMirror(t)
	image, _ := upstream.Image("library/app", "v1", []byte("one"))
	base := "/v1/mirror/pins/" + url.PathEscape("hub.example/library/app") + "/"
	for _, ref := range []string{"v2", "v1", string(image.Digest), "v1"} {
		s.do(t, "boss", "PUT", base+ref, nil).want(204)
	}
	for _, limit := range []string{"1", "2", "100"} {
		var refs []string
		for path := "/v1/mirror/pins?limit=" + limit; path != ""; {
			var list types.PinList
			page := s.do(t, "boss", "GET", path, nil).want(200).into(&list)
			for _, p := range list.Items {
				require.Equal(t, "hub.example/library/app", p.Repository)
				refs = append(refs, p.Reference)
			}
			path = page.next()
		}
		require.Equal(t, []string{string(image.Digest), "v1", "v2"}, refs)
	}
	s.do(t, "boss", "DELETE", base+"v1", nil).want(204)
	s.do(t, "boss", "DELETE", base+"v1", nil).want(204)
	var list types.PinList
	s.do(t, "boss", "GET", "/v1/mirror/pins", nil).want(200).into(&list)
	require.Len(t, list.Items, 2)
	s.do(t, "boss", "PUT", "/v1/mirror/pins/acme%2Fapp/v1", nil).fails(404, "NAME_UNKNOWN")
	s.do(t, "boss", "PUT", "/v1/mirror/pins/UPPER/v1", nil).fails(400, "NAME_INVALID")
	s.do(t, "boss", "PUT", base+"sha256:12", nil).fails(400, "DIGEST_INVALID")
	s.do(t, "boss", "DELETE", base+"-", nil).fails(400, "TAG_INVALID")
	s.do(t, "boss", "GET", "/v1/mirror/pins?after=AAAA", nil).want(http.StatusBadRequest)
}

// TestMirrorRefused: only admins reach the mirror.
func TestMirrorRefused(t *testing.T) {
	s, _, upstream := withMirror(t)
	for path, method := range map[string]string{"/v1/mirror": "GET", "/v1/mirror/pins": "GET",
		"/v1/mirror/refresh":            "POST",
		"/v1/mirror/pins/acme%2Fapp/v1": "PUT", "/v1/mirror/pins/UPPER/v1": "DELETE"} {
		s.do(t, "ann", method, path, nil).fails(403, "DENIED")
		s.do(t, "", method, path, nil).fails(401, "UNAUTHORIZED")
	}
	require.Zero(t, upstream.Count("", ""))
}
