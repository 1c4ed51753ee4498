package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/web"
)

// withMirror adds a Mirror of a registry to a site.
func withMirror(t *testing.T, s *site, manage *api.Options) (*mirror.Mirror, *upstreamtest.Server) {
	t.Helper()
	upstream := upstreamtest.New(t)
	m, err := mirror.New(t.Context(), s.store, s.driver, []mirror.Upstream{{
		Name: "hub.example", URLs: []string{upstream.URL}, Deny: []string{"bad/**"}}}, nil)
	require.NoError(t, err)
	manage.Mirror = m
	return m, upstream
}

// mirrored is a repository of the mirror.
const mirrored = "hub.example/library/app"

// TestMirror: an admin sees upstreams and figures, and asks for newer images.
func TestMirror(t *testing.T) {
	var m *mirror.Mirror
	var upstream *upstreamtest.Server
	s := newSite(t, func(s *site, manage *api.Options, _ *web.Options) { m, upstream = withMirror(t, s, manage) })
	upstream.Image("library/app", "v1", []byte("one"))
	upstream.Break(upstreamtest.Match{}, upstreamtest.RateLimit(100, 76))
	require.NotContains(t, s.get(t, "boss", "/mirror").text, "served from the mirror")
	for range 4 {
		_, err := m.GetManifest(t.Context(), mirrored, reference.Ref{Tag: "v1"})
		require.NoError(t, err)
	}
	r := s.get(t, "boss", "/mirror")
	for _, text := range []string{"75 % served from the mirror", "in use", "76 of 100", "bad/**", "No image is kept."} {
		require.Contains(t, r.text, text)
	}
	refresh := `form[action="/ui/mirror/refresh"]`
	same := s.submit(t, "boss", r, refresh, "repository", mirrored, "reference", "v1")
	require.Contains(t, s.follow(t, "boss", same).text, "Nothing has changed.")
	upstream.Image("library/app", "v1", []byte("two"))
	changed := s.submit(t, "boss", r, refresh, "repository", mirrored)
	require.Contains(t, s.follow(t, "boss", changed).text, "The mirror has the newest image now.")
	for repo, want := range map[string]string{"acme/app": "No upstream of the mirror has this repository.",
		"UPPER": "", `"><script>`: "", "": ""} {
		r := s.submit(t, "boss", r, refresh, "repository", repo, "reference", "v1")
		require.Equal(t, http.StatusUnprocessableEntity, r.StatusCode, r.text)
		require.Contains(t, r.text, want)
		require.Equal(t, repo, r.doc.Find("#refresh-repository").AttrOr("value", ""))
		require.Equal(t, "true", r.doc.Find("#refresh-repository").AttrOr("aria-invalid", ""))
	}
	upstream.SetDown(true)
	down := s.submit(t, "boss", r, refresh, "repository", mirrored, "reference", "v1")
	require.Equal(t, http.StatusServiceUnavailable, down.StatusCode)
	require.Contains(t, down.text, "The upstream does not respond.")
}

// TestPins: images are pinned and unpinned, in pages.
func TestPins(t *testing.T) {
	var m *mirror.Mirror
	s := newSite(t, func(s *site, manage *api.Options, _ *web.Options) { m, _ = withMirror(t, s, manage) })
	r := s.get(t, "boss", "/mirror")
	pin := `form[action="/ui/mirror/pin"]`
	kept := s.follow(t, "boss", s.submit(t, "boss", r, pin, "repository", mirrored, "reference", "v1"))
	require.Contains(t, kept.text, "The mirror keeps the image.")
	require.Equal(t, "v1", kept.doc.Find("table .chip").Text())
	gone := s.follow(t, "boss", s.submit(t, "boss", kept, `form[action="/ui/mirror/unpin"]`))
	require.Contains(t, gone.text, "No image is kept.")
	for _, reference := range []string{"", "-", "sha256:1", strings.Repeat("x", 300)} {
		r := s.submit(t, "boss", r, pin, "repository", mirrored, "reference", reference)
		require.Equal(t, http.StatusUnprocessableEntity, r.StatusCode, "%q: %s", reference, r.text)
		require.Equal(t, mirrored, r.doc.Find("#pin-repository").AttrOr("value", ""))
	}
	for i := range 60 {
		require.NoError(t, m.Pin(t.Context(), mirrored, reference.Ref{Tag: fmt.Sprintf("t%02d", i)}))
	}
	r = s.get(t, "boss", "/mirror")
	require.Equal(t, 50, r.doc.Find("tbody tr").Length())
	second := s.get(t, "boss", "/mirror"+r.doc.Find("a[rel=next]").AttrOr("href", ""))
	require.Equal(t, 10, second.doc.Find("tbody tr").Length())
}
