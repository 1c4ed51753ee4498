package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/search"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/usage"
	"github.com/registrykit/registry/web"
)

// homeSite is a site with what the start page and the search show.
type homeSite struct {
	*site
	index *search.Index
	meter *usage.Meter
	pulls *pulltime.Recorder
}

// newHomeSite starts a site over a Driver.
func newHomeSite(t *testing.T, d driver.Driver) *homeSite {
	t.Helper()
	h := &homeSite{}
	h.site = newSiteOver(t, d, func(s *site, manage *api.Options, _ *web.Options) {
		var err error
		h.index, err = search.New(s.store, &search.Options{Accounts: s.people, Content: s.store})
		require.NoError(t, err)
		h.meter, err = usage.New(s.store, s.driver, nil)
		require.NoError(t, err)
		h.pulls, err = pulltime.New(s.driver, nil)
		require.NoError(t, err)
		manage.Search, manage.Usage, manage.Pulls = h.index, h.meter, h.pulls
	})
	return h
}

// refresh makes the site know what was pushed.
func (h *homeSite) refresh(t *testing.T) {
	t.Helper()
	require.NoError(t, h.index.Refresh(t.Context()))
	_, err := h.meter.Count(t.Context(), nil)
	require.NoError(t, err)
}

// describe sets the description of a repository.
func (h *homeSite) describe(t *testing.T, repo, text string) {
	t.Helper()
	_, err := h.people.UpdateRepository(t.Context(), accounts.Actor{}, repo, func(r *accounts.Repository) error {
		r.Description = text
		return nil
	})
	require.NoError(t, err)
}

func TestHomeListsWhatTheCallerMaySee(t *testing.T) {
	s := newSite(t, nil)
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	r := s.get(t, "ann", "/")
	require.Equal(t, http.StatusOK, r.StatusCode, string(r.body))
	require.Equal(t, "acme/app", r.doc.Find("td a b").Text())
	r = s.get(t, "bob", "/")
	require.Contains(t, r.text, "There are no repositories yet.")
	require.Contains(t, r.text, "docker push "+strings.TrimPrefix(s.url, "http://")+"/bob/app:latest")
	r = s.get(t, "", "/")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Contains(t, r.text, "There are no public repositories.")
	require.NotContains(t, r.text, "acme")
}

func TestHome(t *testing.T) {
	h := newHomeSite(t, memory.New(nil))
	d := h.pushImage(t, "ann", "acme/shop/web", "v1", amd64, "layer")
	h.pushImage(t, "ann", "acme/shop/web", "v2", amd64, "layer")
	h.pushImage(t, "ann", "ann/notes", "v1", amd64, "layer")
	h.pulls.Pulled("acme/shop/web", d, "v1")
	h.describe(t, "acme/shop/web", "# The shop\n\nsells things")
	h.refresh(t)
	r := h.get(t, "boss", "/")
	require.Contains(t, r.text, "2 repositories")
	require.Contains(t, r.text, "stored")
	row := r.doc.Find("tbody tr").First()
	require.Contains(t, row.Text(), "private")
	require.Contains(t, row.Text(), "The shop")
	require.Equal(t, "2", row.Find("td").Eq(1).Text())
	require.Regexp(t, `^\d+ B$`, row.Find("td").Eq(2).Text())
	require.Equal(t, "just now", row.Find("td").Eq(3).Text())
	require.Equal(t, "just now", row.Find("td").Eq(4).Text())
	require.Equal(t, "–", r.doc.Find("tbody tr").Last().Find("td").Eq(4).Text())
	require.Equal(t, []string{"/ui/namespaces/acme", "/ui/namespaces/ann"}, hrefs(r, ".tree a"))

	// A reader sees neither the state nor the sum of the registry, and a stranger sees nothing.
	h.publish(t, "ann/notes")
	for _, as := range []string{"bob", ""} {
		r = h.get(t, as, "/")
		require.Contains(t, r.text, "1 repository")
		require.NotContains(t, r.text, "stored")
		require.NotContains(t, r.text, "acme")
		require.NotContains(t, r.text, "private")
		require.Equal(t, []string{"/ui/namespaces/ann"}, hrefs(r, ".tree a"))
	}
}

// hrefs returns the links of elements of a page.
func hrefs(r *response, selector string) []string {
	list := []string{}
	for _, e := range r.doc.Find(selector).EachIter() {
		list = append(list, e.AttrOr("href", ""))
	}
	return list
}

func TestNamespaces(t *testing.T) {
	h := newHomeSite(t, memory.New(nil))
	for _, repo := range []string{"acme/shop/web", "acme/shop/worker", "acme/tools", "acme-x/y"} {
		h.pushImage(t, "boss", repo, "v1", amd64, "layer")
	}
	h.refresh(t)
	r := h.get(t, "ann", "/namespaces/acme")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Equal(t, "acme/shop/webacme/shop/workeracme/tools", r.doc.Find("td a b").Text())
	require.Equal(t, []string{"/ui/namespaces/acme/shop"}, hrefs(r, ".tree a"))
	require.Contains(t, h.get(t, "ann", "/namespaces/acme/shop").text, "2 repositories")
	require.Contains(t, h.get(t, "boss", "/namespaces").text, "acme-x/")
	require.Contains(t, h.get(t, "boss", "/namespaces?prefix=acme").text, "shop/")
	// What the sender may not see is as absent as what does not exist.
	for _, path := range []string{"/namespaces/acme", "/namespaces/acme/shop", "/namespaces/none", "/namespaces/A",
		"/namespaces/acme/shop/web/none"} {
		for _, as := range []string{"bob", ""} {
			require.Equal(t, http.StatusNotFound, h.get(t, as, path).StatusCode, path)
		}
	}
	r = h.get(t, "bob", "/namespaces/bob")
	require.Contains(t, r.text, "There are no repositories in this namespace yet.")
	require.Contains(t, r.text, "/bob/app:latest")
	h.publish(t, "acme/tools")
	r = h.get(t, "", "/namespaces/acme")
	require.Equal(t, "acme/tools", r.doc.Find("td a b").Text())
	require.NotContains(t, r.text, "shop")
}

// TestHomePages: lists have pages.
func TestHomePages(t *testing.T) {
	h := newHomeSite(t, memory.New(nil))
	pushEmpty(t, h.store, 70)
	h.refresh(t)
	r := h.get(t, "boss", "/")
	require.Equal(t, 50, r.doc.Find("tbody tr").Length())
	require.Contains(t, r.text, "70 repositories")
	next := r.doc.Find("a[rel=next]")
	require.Equal(t, 1, next.Length())
	r = h.get(t, "boss", "/"+next.AttrOr("href", ""))
	require.Equal(t, 20, r.doc.Find("tbody tr").Length())
	require.Zero(t, r.doc.Find("a[rel=next]").Length())
	require.Contains(t, r.text, "First page")
	r = h.get(t, "boss", "/?after=x")
	require.Equal(t, http.StatusBadRequest, r.StatusCode)
}

// pushEmpty pushes n repositories in up to 100 namespaces.
func pushEmpty(t testing.TB, b registry.Backend, n int) {
	t.Helper()
	for i := range n {
		_, err := b.PutManifest(t.Context(), fmt.Sprintf("team-%d/app-%d", i%100, i/100), ocispec.MediaTypeImageIndex,
			[]byte(emptyIndex), &registry.PutOptions{Tags: []registry.TagPut{{Name: "v1"}}})
		require.NoError(t, err)
	}
}

// TestHomeCost: the numbers of calls of the Backend and of the Driver for a page are bounded at 1 and at 10,000
// repositories.
func TestHomeCost(t *testing.T) {
	for _, n := range []int{1, 10_000} {
		d := drivertest.NewFaulty(memory.New(nil), nil)
		h := newHomeSite(t, d)
		pushEmpty(t, h.store, n)
		h.refresh(t)
		for _, path := range []string{"/", "/namespaces", "/namespaces/team-0", "/search?q=app", "/search?q=v1",
			"/search?q=sha256:00"} {
			require.Equal(t, http.StatusOK, h.get(t, "boss", path).StatusCode) // the facts about accounts are in memory
			calls, opens, lists := h.calls.Load(), d.Count("Open"), d.Count("List")
			require.Equal(t, http.StatusOK, h.get(t, "boss", path).StatusCode)
			t.Logf("%d repositories, %s: %d calls, %d reads, %d lists", n, path, h.calls.Load()-calls, d.Count("Open")-opens,
				d.Count("List")-lists)
			require.LessOrEqual(t, h.calls.Load()-calls, int64(2), path)
			require.LessOrEqual(t, d.Count("Open")-opens, 60, path) // of which 50 are descriptions
			require.LessOrEqual(t, d.Count("List")-lists, 55, path) // of which 50 are pull times
		}
	}
}

// TestHomeOfAnOpenRegistry: where everybody may push, the empty page says how, without a login.
func TestHomeOfAnOpenRegistry(t *testing.T) {
	store, err := storage.New(t.Context(), memory.New(nil), nil)
	require.NoError(t, err)
	everybody := auth.AuthorizerFunc(func(context.Context, auth.Identity, []auth.Access) error { return nil })
	reg, err := registry.New(store, &registry.Options{Authorizer: everybody})
	require.NoError(t, err)
	manage, err := api.New(reg, nil)
	require.NoError(t, err)
	page, err := web.New(manage, nil)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1:5000/ui/", nil))
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "docker push 127.0.0.1:5000/app:latest")
	require.NotContains(t, w.Body.String(), "docker login")
}
