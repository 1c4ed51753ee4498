package web_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/web"
)

// TestScrub: what is damaged is listed with what to do about it, and can be forgotten.
func TestScrub(t *testing.T) {
	s := newSite(t, func(s *site, manage *api.Options, _ *web.Options) { manage.Scrub = s.driver })
	require.Contains(t, s.get(t, "boss", "/scrub").text, "No content is known to be lost.")
	require.NoError(t, registrytest.RandomImage(1, 1, 100_000).Push(t.Context(), s.store, "acme/app", "v1"))
	for info, err := range s.driver.List(t.Context(), "data/", nil) {
		require.NoError(t, err)
		_, err := s.driver.Put(t.Context(), info.Key, bytes.NewReader(make([]byte, info.Size)), nil)
		require.NoError(t, err)
	}
	_, err := scrub.Run(t.Context(), s.store, s.driver, &scrub.Options{Repair: true, Settle: -1})
	require.NoError(t, err)

	r := s.get(t, "boss", "/scrub")
	require.Equal(t, 1, r.doc.Find("tbody tr").Length(), r.text)
	require.Contains(t, r.text, "The bytes of this blob are damaged or gone.")
	require.Contains(t, r.text, "Push an image with this layer again")
	target := r.doc.Find("tbody a.button").AttrOr("href", "")
	s.refuses(t, http.MethodGet, target[len("/ui"):])
	ask := s.get(t, "boss", target[len("/ui"):])
	require.Equal(t, http.StatusOK, ask.StatusCode)
	stale := s.submit(t, "boss", ask, "main form", "version", `"old"`)
	require.Equal(t, http.StatusPreconditionFailed, stale.StatusCode)
	require.Contains(t, stale.text, "It was changed meanwhile")
	require.Contains(t, s.follow(t, "boss", s.submit(t, "boss", ask, "main form")).text, "It is no longer in the list.")
	require.Equal(t, http.StatusNotFound, s.get(t, "boss", target[len("/ui"):]).StatusCode)
	for _, query := range []string{"", "?repository=UPPER&digest=x", "?repository=acme/app&digest=sha256:1"} {
		require.GreaterOrEqual(t, s.get(t, "boss", "/scrub/forget"+query).StatusCode, 400, query)
	}
}
