package web_test

import (
	"net/http"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/reference"
)

// text returns the text of an element.
func text(_ int, e *goquery.Selection) string { return e.Text() }

func TestRetag(t *testing.T) {
	s := newSite(t, nil)
	one := s.pushImage(t, "ann", "acme/app", "v1", amd64, "one")
	two := s.pushImage(t, "ann", "acme/app", "v2", amd64, "two")
	const path, form = "/repositories/acme/app/-/retag?tag=v1", `main form[method="post"]`
	page := s.get(t, "ann", path)
	bad := s.submit(t, "ann", page, form, "new", "-x")
	require.Equal(t, http.StatusBadRequest, bad.StatusCode)
	require.Equal(t, "-x", bad.doc.Find("#copy-new").AttrOr("value", ""))
	made := s.submit(t, "ann", page, form, "new", "stable")
	require.Equal(t, http.StatusSeeOther, made.StatusCode, string(made.body))
	now, err := s.store.StatManifest(t.Context(), "acme/app", byTag("stable"), nil)
	require.NoError(t, err)
	require.Equal(t, one, now.Digest)

	// A tag that exists moves after a second look only, and only if it is still what was seen.
	ask := s.submit(t, "ann", page, form, "new", "v2")
	require.Equal(t, http.StatusConflict, ask.StatusCode)
	require.Contains(t, ask.text, "points at another image now")
	s.pushImage(t, "ann", "acme/app", "v2", amd64, "three")
	again := s.submit(t, "ann", ask, form)
	require.Equal(t, http.StatusConflict, again.StatusCode)
	require.Contains(t, again.text, "The tag was changed meanwhile.")
	require.Equal(t, http.StatusSeeOther, s.submit(t, "ann", again, form).StatusCode)
	now, err = s.store.StatManifest(t.Context(), "acme/app", byTag("v2"), nil)
	require.NoError(t, err)
	require.Equal(t, one, now.Digest)
	require.True(t, s.exists(t, "acme/app", reference.Ref{Digest: two}))
	require.Equal(t, http.StatusNotFound, s.get(t, "bob", path).StatusCode)
	require.Equal(t, http.StatusNotFound, s.get(t, "ann", "/repositories/acme/app/-/retag").StatusCode)
}

func TestCopy(t *testing.T) {
	s := newSite(t, nil)
	d := s.pushImage(t, "ann", "acme/app", "v1", amd64, "one")
	const path, form = "/repositories/acme/app/-/copy?tag=v1", `main form[method="post"]`
	page := s.get(t, "ann", path)
	require.Equal(t, "v1", page.doc.Find("#copy-to-tag").AttrOr("value", ""))
	bad := s.submit(t, "ann", page, form, "to", "Acme/app", "to-tag", "-")
	require.Equal(t, http.StatusBadRequest, bad.StatusCode)
	require.Equal(t, "Acme/app", bad.doc.Find("#copy-to").AttrOr("value", ""))
	require.Equal(t, 2, bad.doc.Find(`[aria-invalid="true"]`).Length())
	denied := s.submit(t, "ann", page, form, "to", "other/app")
	require.Equal(t, http.StatusForbidden, denied.StatusCode)
	require.Contains(t, denied.text, "You have no permission for this.")
	require.Equal(t, http.StatusSeeOther, s.submit(t, "ann", page, form, "to", "acme/release").StatusCode)
	now, err := s.store.StatManifest(t.Context(), "acme/release", byTag("v1"), nil)
	require.NoError(t, err)
	require.Equal(t, d, now.Digest)
	s.pushImage(t, "ann", "acme/release", "v1", amd64, "two")
	ask := s.submit(t, "ann", page, form, "to", "acme/release")
	require.Equal(t, http.StatusConflict, ask.StatusCode)
	require.Contains(t, ask.text, "points at another image now")
	require.Equal(t, http.StatusSeeOther, s.submit(t, "ann", ask, form).StatusCode)
	require.Equal(t, http.StatusSeeOther, s.submit(t, "ann", page, form, "to", "acme/third", "to-tag", "").StatusCode)
	require.True(t, s.exists(t, "acme/third", reference.Ref{Digest: d}))
	require.False(t, s.exists(t, "acme/third", byTag("v1")))
}
