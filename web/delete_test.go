package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/filter"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/web"
)

// exists reports whether a repository has a tag or digest.
func (s *site) exists(t *testing.T, repo string, ref reference.Ref) bool {
	t.Helper()
	_, err := s.store.StatManifest(t.Context(), repo, ref, nil)
	if err != nil {
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
	}
	return err == nil
}

func byTag(name string) reference.Ref { return reference.Ref{Tag: name} }

func TestDeleteTagsAndUndo(t *testing.T) {
	s := newSite(t, nil)
	d := s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	for _, name := range []string{"v1.0", "latest"} {
		s.pushImage(t, "ann", "acme/app", name, amd64, "layer")
	}
	s.pushImage(t, "ann", "acme/app", "lone", amd64, "another")
	page := s.get(t, "ann", "/repositories/acme/app/-/delete?tag=v1&tag=lone&tag=gone")
	require.Equal(t, http.StatusOK, page.StatusCode)
	require.Contains(t, page.text, "Also tagged: latestv1.0")
	require.Contains(t, page.text, "The image stays untagged.")
	require.Contains(t, page.text, "not there any more")
	require.Contains(t, page.text, "You can restore it until")
	require.True(t, s.exists(t, "acme/app", byTag("v1")), "a GET changes nothing")

	after := s.follow(t, "ann", s.submitDelete(t, "ann", page))
	require.Contains(t, after.text, "Deleted: lone, v1")
	require.False(t, s.exists(t, "acme/app", byTag("v1")))
	require.False(t, s.exists(t, "acme/app", byTag("lone")))
	require.True(t, s.exists(t, "acme/app", reference.Ref{Digest: d}))
	again := s.follow(t, "ann", s.submitAll(t, "ann", after, ".undo form"))
	require.Contains(t, again.text, "Restored: lone, v1")
	require.True(t, s.exists(t, "acme/app", byTag("v1")))
	require.True(t, s.exists(t, "acme/app", byTag("lone")))
}

// submitDelete sends the form of a page that shows what a delete removes.
func (s *site) submitDelete(t *testing.T, as string, page *response, pairs ...string) *response {
	t.Helper()
	return s.submitAll(t, as, page, `main form[method="post"]`, pairs...)
}

func TestDeleteImagesAndUndo(t *testing.T) {
	s := newSite(t, nil)
	d := s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	s.pushImage(t, "ann", "acme/app", "v2", amd64, "layer")
	other := s.pushImage(t, "ann", "acme/app", "other", amd64, "another")
	path := fmt.Sprintf("/repositories/acme/app/-/delete?digest=%s&digest=%s", d, other)
	page := s.get(t, "ann", path)
	require.Contains(t, page.text, "v1v2")
	require.Contains(t, page.text, "are used by nothing else in this repository")

	// A tag that is set meanwhile is not deleted unseen.
	s.pushImage(t, "ann", "acme/app", "v3", amd64, "layer")
	r := s.submitDelete(t, "ann", page)
	require.Equal(t, http.StatusConflict, r.StatusCode)
	require.Contains(t, r.text, "It was changed meanwhile")
	require.True(t, s.exists(t, "acme/app", byTag("v3")))
	require.False(t, s.exists(t, "acme/app", byTag("other")))
	back := s.follow(t, "ann", s.submitAll(t, "ann", r, `main form[method="post"]`))
	require.Contains(t, back.text, "Restored: other")

	after := s.follow(t, "ann", s.submitDelete(t, "ann", s.get(t, "ann", path)))
	require.Contains(t, after.text, "Deleted: other, v1, v2, v3")
	require.False(t, s.exists(t, "acme/app", reference.Ref{Digest: d}))
	s.follow(t, "ann", s.submitAll(t, "ann", after, ".undo form"))
	for _, name := range []string{"v1", "v2", "v3", "other"} {
		require.True(t, s.exists(t, "acme/app", byTag(name)), name)
	}
}

func TestDeleteRepositoryAndUndo(t *testing.T) {
	s := newSite(t, nil)
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	s.pushImage(t, "ann", "acme/app", "v2", amd64, "other")
	page := s.get(t, "ann", "/repositories/acme/app/-/delete")
	require.Contains(t, page.text, "2 tags")
	require.Contains(t, page.text, "2 images and other manifests")
	wrong := s.submitDelete(t, "ann", page, "typed", "acme/ap")
	require.Equal(t, http.StatusBadRequest, wrong.StatusCode)
	require.Equal(t, "acme/ap", wrong.doc.Find("#delete-typed").AttrOr("value", ""))
	require.Equal(t, "true", wrong.doc.Find("#delete-typed").AttrOr("aria-invalid", ""))
	require.True(t, s.exists(t, "acme/app", byTag("v1")))
	stale := s.submitDelete(t, "ann", page, "typed", "acme/app", "version", `"x"`)
	require.Equal(t, http.StatusPreconditionFailed, stale.StatusCode)
	require.True(t, s.exists(t, "acme/app", byTag("v1")))

	after := s.follow(t, "ann", s.submitDelete(t, "ann", page, "typed", "acme/app"))
	require.Contains(t, after.text, "acme/app was deleted.")
	require.False(t, s.exists(t, "acme/app", byTag("v1")))
	again := s.follow(t, "ann", s.submitAll(t, "ann", after, ".undo form"))
	require.Contains(t, again.text, "Restored: v1, v2")
	require.True(t, s.exists(t, "acme/app", byTag("v2")))
}

// TestUndoNeverMovesATag: a tag that was pushed again after its delete stays as it is.
func TestUndoNeverMovesATag(t *testing.T) {
	s := newSite(t, nil)
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "old")
	after := s.follow(t, "ann", s.submitDelete(t, "ann", s.get(t, "ann", "/repositories/acme/app/-/delete?tag=v1")))
	d := s.pushImage(t, "ann", "acme/app", "v1", amd64, "new")
	r := s.submitAll(t, "ann", after, ".undo form")
	require.Equal(t, http.StatusConflict, r.StatusCode)
	require.Contains(t, r.text, "It was changed meanwhile")
	now, err := s.store.StatManifest(t.Context(), "acme/app", byTag("v1"), nil)
	require.NoError(t, err)
	require.Equal(t, d, now.Digest)
}

// TestNoticeTellsTheTruth: a link of another page can neither show a text of its own, nor an undo
// of what did not happen.
func TestNoticeTellsTheTruth(t *testing.T) {
	s := newSite(t, nil)
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	for _, query := range []string{"done=deleted&since=0&n=1", "done=deleted&since=zzzzzzzzzzzzzz&n=1",
		"done=deleted&n=9999999999999999999999", "done=deleted&since=-1&n=-1&tag=v1", "done=%3Cb%3E",
		"done=restored&since=x"} {
		r := s.get(t, "ann", "/repositories/acme/app?"+query)
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Equal(t, 0, r.doc.Find(".undo").Length(), query)
	}
	own := s.follow(t, "ann", s.submitDelete(t, "ann", s.get(t, "ann", "/repositories/acme/app/-/delete?tag=v1")))
	link := strings.TrimPrefix(own.Request.URL.RequestURI(), "/ui")
	require.Equal(t, 1, own.doc.Find(".undo").Length())
	require.Equal(t, 0, s.get(t, "boss", link).doc.Find(".undo").Length(), "the delete of another person")
}

// TestDeleteOfWhatStays: immutable tags and missing permissions are shown before, and refused anyway.
func TestDeleteOfWhatStays(t *testing.T) {
	protects := func(string) func(string) bool { return func(tag string) bool { return strings.HasPrefix(tag, "v") } }
	s := newSiteWith(t, func(b registry.Backend) registry.Backend {
		return filter.Immutable(b, &filter.ImmutableOptions{Protects: protects})
	}, func(_ *site, manage *api.Options, _ *web.Options) { manage.Protects = protects })
	d := s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	s.pushImage(t, "ann", "acme/app", "dev", amd64, "other")
	page := s.get(t, "ann", "/repositories/acme/app/-/delete?tag=v1&tag=dev")
	require.Contains(t, page.text, "stays: a tag is immutable")
	require.Equal(t, 1, page.doc.Find(`input[name="tag"]`).Length())
	r := s.post(t, "ann", "/repositories/acme/app/-/delete", "tag", "v1", "tag-version", `"`+d.String()+`"`)
	require.Equal(t, http.StatusConflict, r.StatusCode)
	require.Contains(t, r.text, "immutable")
	none := s.get(t, "ann", "/repositories/acme/app/-/delete?digest="+d.String())
	require.Contains(t, none.text, "Nothing of this can be deleted.")
	require.Equal(t, 0, none.doc.Find("main button").Length())
	require.Equal(t, 0, s.get(t, "ann", "/repositories/acme/app/-/delete").doc.Find("main button").Length())
	require.True(t, s.exists(t, "acme/app", byTag("v1")))
}

// TestDeleteMany: 200 tags are deleted and restored at once, and more are refused.
func TestDeleteMany(t *testing.T) {
	s := newSite(t, nil)
	var query []string
	b := s.registry.Backend(s.identity(t, "ann"))
	pushImage(t, b, "acme/app", "t0", amd64, "layer")
	m, err := b.GetManifest(t.Context(), "acme/app", byTag("t0"))
	require.NoError(t, err)
	for i := range 201 {
		name := fmt.Sprintf("t%d", i)
		_, err := b.PutManifest(t.Context(), "acme/app", m.Descriptor.MediaType, m.Content,
			&registry.PutOptions{Tags: []registry.TagPut{{Name: name}}})
		require.NoError(t, err)
		query = append(query, "tag="+name)
	}
	path := "/repositories/acme/app/-/delete?"
	require.Equal(t, http.StatusBadRequest, s.get(t, "ann", path+strings.Join(query, "&")).StatusCode)
	page := s.get(t, "ann", path+strings.Join(query[:200], "&"))
	require.Equal(t, http.StatusOK, page.StatusCode)
	after := s.follow(t, "ann", s.submitDelete(t, "ann", page))
	require.Contains(t, after.text, "and 195 more")
	require.False(t, s.exists(t, "acme/app", byTag("t199")))
	s.follow(t, "ann", s.submitAll(t, "ann", after, ".undo form"))
	require.True(t, s.exists(t, "acme/app", byTag("t199")))
	require.True(t, s.exists(t, "acme/app", byTag("t0")))
}
