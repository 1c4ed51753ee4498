package web_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/reference"
)

func TestBin(t *testing.T) {
	s := newSite(t, nil)
	require.Contains(t, s.get(t, "ann", "/bin").text, "The bin is empty.")
	d := s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	s.pushImage(t, "ann", "acme/app", "v2", amd64, "other")
	s.pushImage(t, "ann", "acme/gone", "v1", amd64, "layer")
	b := s.registry.Backend(s.identity(t, "ann"))
	require.NoError(t, b.DeleteManifest(t.Context(), "acme/app", byTag("v2"), nil))
	require.NoError(t, b.DeleteManifest(t.Context(), "acme/app", reference.Ref{Digest: d}, nil))
	require.NoError(t, s.registry.Backend(s.identity(t, "boss")).DeleteRepository(t.Context(), "acme/gone", nil))

	page := s.get(t, "ann", "/bin")
	require.Equal(t, 3, page.doc.Find("tbody tr").Length(), "the manifests of a deleted repository are not listed")
	require.Contains(t, page.doc.Find("tbody tr").First().Text(), "acme/gone", "the newest first")
	require.Equal(t, 2, s.get(t, "ann", "/bin?by=me").doc.Find("tbody tr").Length())
	require.Equal(t, 3, s.get(t, "ann", "/bin?since=day").doc.Find("tbody tr").Length())
	require.Equal(t, 1, s.get(t, "ann", "/bin?q=gone").doc.Find("tbody tr").Length())
	require.Equal(t, 2, s.get(t, "ann", "/bin?namespace=acme/app").doc.Find("tbody tr").Length())
	require.Contains(t, s.get(t, "ann", "/bin?q=none").text, "Nothing that was deleted matches.")
	require.Equal(t, 0, s.get(t, "bob", "/bin").doc.Find("tbody tr").Length())
	require.Equal(t, http.StatusUnauthorized, s.get(t, "", "/bin").StatusCode)
	require.Equal(t, 3, s.get(t, "boss", "/bin").doc.Find("tbody tr").Length())

	for i := range 3 { // the repository can be restored again, and comes last
		page = s.get(t, "ann", "/bin")
		row := page.doc.Find("tbody form").Length()
		require.Positive(t, row, i)
		page.doc.Find("tbody form").Last().SetAttr("id", "last")
		r := s.follow(t, "ann", s.submitAll(t, "ann", page, "form#last"))
		require.Contains(t, r.text, "It was restored.")
	}
	for repo, tags := range map[string][]string{"acme/app": {"v1", "v2"}, "acme/gone": {"v1"}} {
		for _, name := range tags {
			require.True(t, s.exists(t, repo, byTag(name)), repo+":"+name)
		}
	}
	require.Contains(t, s.get(t, "ann", "/bin").text, "is back")
	require.Contains(t, s.get(t, "ann", "/bin?q=acme/app").text, "is back", "also where nothing is left to restore")
}

// TestBinOfAReader: a reader sees what was deleted, neither by whom nor a button.
func TestBinOfAReader(t *testing.T) {
	s := newSite(t, nil)
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	_, err := s.people.UpdateRepository(t.Context(), accounts.Actor{}, "acme/app", func(r *accounts.Repository) error {
		r.Visibility = accounts.Public
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, s.registry.Backend(s.identity(t, "ann")).DeleteManifest(t.Context(), "acme/app", byTag("v1"), nil))
	page := s.get(t, "bob", "/bin")
	require.Equal(t, 1, page.doc.Find("tbody tr").Length())
	require.Equal(t, 0, page.doc.Find("tbody form").Length())
	require.NotContains(t, page.text, "ann")
	require.Equal(t, http.StatusForbidden, s.post(t, "bob", "/repositories/acme/app/-/restore", "tag", "v1").StatusCode)
	require.False(t, s.exists(t, "acme/app", byTag("v1")))
}

// TestBinPages: the pages have each delete once, whatever has been examined.
func TestBinPages(t *testing.T) {
	s := newSite(t, nil)
	b := s.registry.Backend(s.identity(t, "boss"))
	for i := range 70 {
		repo := fmt.Sprintf("acme/r%d", i)
		pushImage(t, b, repo, "v1", amd64, "layer")
		require.NoError(t, b.DeleteManifest(t.Context(), repo, byTag("v1"), nil))
	}
	seen, path := map[string]bool{}, "/bin"
	for path != "" {
		page := s.get(t, "ann", path)
		for _, name := range page.doc.Find("tbody tr td:first-child b").Map(text) {
			require.False(t, seen[name], name)
			seen[name] = true
		}
		next, ok := page.doc.Find(`a[rel="next"]`).Attr("href")
		if path = ""; ok {
			path = "/bin" + next
		}
	}
	require.Len(t, seen, 70)
}
