package web_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/search"
	"github.com/registrykit/registry/web"
)

// TestSharing: an image names the images of other repositories that begin with the same layers, if the sender may pull
// them.
func TestSharing(t *testing.T) {
	var index *search.Index
	s := newSite(t, func(s *site, manage *api.Options, _ *web.Options) {
		var err error
		index, err = search.New(s.store, &search.Options{Accounts: s.people, Content: s.store})
		require.NoError(t, err)
		manage.Search = index
	})
	s.pushImage(t, "ann", "acme/base", "v1", amd64, "base", "tools")
	s.pushImage(t, "ann", "acme/shop", "v1", amd64, "base", "tools", "shop")
	s.pushImage(t, "ann", "ann/own", "v1", amd64, "base", "own")
	s.pushImage(t, "ann", "acme/other", "v1", amd64, "another")
	_, err := s.people.UpdateRepository(t.Context(), accounts.Actor{}, "acme/shop", asPublic)
	require.NoError(t, err)
	require.NoError(t, index.Refresh(t.Context()))
	r := s.get(t, "ann", "/repositories/acme/shop/-/images/v1")
	require.Equal(t, http.StatusOK, r.StatusCode, string(r.body))
	rows := r.doc.Find(`table[aria-labelledby="sharing"] tbody tr`)
	require.Equal(t, 2, rows.Length(), r.text)
	require.Contains(t, rows.Eq(0).Text(), "acme/base:v1")
	require.Contains(t, rows.Eq(0).Text(), "2")
	require.Contains(t, rows.Eq(1).Text(), "ann/own:v1")
	layers := r.doc.Find("table.layers tbody tr")
	require.Contains(t, layers.Eq(0).Text(), "in 2 other repositories")
	require.Contains(t, layers.Eq(1).Text(), "in 1 other repository")
	r = s.get(t, "bob", "/repositories/acme/shop/-/images/v1")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.NotContains(t, r.text, "acme/base")
	require.NotContains(t, r.text, "other repositor")
}

// TestRestoreOfTag: the history of a tag brings an earlier image back.
func TestRestoreOfTag(t *testing.T) {
	s := newSite(t, nil)
	first := s.pushImage(t, "ann", "acme/shop", "v1", amd64, "one")
	s.pushImage(t, "ann", "acme/shop", "v1", amd64, "two")
	const path = "/repositories/acme/shop/-/images/v1"
	r := s.get(t, "ann", path)
	require.Equal(t, 1, r.doc.Find(`table[aria-labelledby="history"] form`).Length())
	stale := r
	r = s.submit(t, "ann", r, `table[aria-labelledby="history"] form`)
	r = s.follow(t, "ann", r)
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Equal(t, first.String(), r.doc.Find(".digest code").Text())
	require.Contains(t, r.doc.Find(".undo").Text(), "Restored: v1")
	require.Contains(t, s.get(t, "ann", path+"?done=tagged").doc.Find(".undo").Text(), "points at this image")
	require.Zero(t, s.get(t, "ann", path+"?done=owned").doc.Find(".undo").Length())
	r = s.submit(t, "ann", stale, `table[aria-labelledby="history"] form`)
	require.Equal(t, http.StatusConflict, r.StatusCode, "the tag was changed meanwhile")
	require.Equal(t, 1, s.get(t, "boss", path).doc.Find(".actions .danger").Length())
}
