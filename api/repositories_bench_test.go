//go:build linux || darwin

package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/search"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

// BenchmarkRepositories measures lists of 10,000 repositories in 100 namespaces on disk. One
// repository in 1,000 is public, and one in ten has a description. The user few may pull from the
// public ones only, and the user one owns a namespace. The metrics are of a page: the mean time,
// the mean CPU time of the process, and the largest of each.
func BenchmarkRepositories(b *testing.B) {
	dir := b.TempDir()
	h := openHub(b, dir)
	fill(b, h.store, h.people)
	require.NoError(b, h.index.Refresh(b.Context()))
	for _, user := range []string{"boss", "one", "few"} {
		for _, path := range []string{"/v1/repositories", "/v1/repositories?limit=1000",
			"/v1/repositories?q=99", "/v1/repositories?namespace=team-42", "/v1/search?q=app",
			"/v1/search?q=app-99", "/v1/repositories/team-1%2Fapp-0/tags"} {
			b.Run(user+path, func(b *testing.B) {
				benchmarkList(b, user, path, func() *api.API { return h.api })
			})
		}
		b.Run("cold/"+user+"/v1/repositories", func(b *testing.B) {
			benchmarkList(b, user, "/v1/repositories", func() *api.API { return openHub(b, dir).api })
		})
	}
}

// hub is what a process has of the storage of BenchmarkRepositories.
type hub struct {
	store  *storage.Store
	people *accounts.Accounts
	index  *search.Index
	api    *api.API
}

// openHub returns the parts of a new process.
func openHub(b *testing.B, dir string) *hub {
	b.Helper()
	d, err := disk.New(dir, &disk.Options{NoSync: true})
	require.NoError(b, err)
	h := &hub{}
	h.store, err = storage.New(b.Context(), d, nil)
	require.NoError(b, err)
	h.people, err = accounts.New(d, nil)
	require.NoError(b, err)
	reg, err := registry.New(h.store, &registry.Options{Authorizer: accounts.NewAuthorizer(h.people)})
	require.NoError(b, err)
	h.index, err = search.New(h.store, &search.Options{Accounts: h.people, Content: h.store})
	require.NoError(b, err)
	opts := &api.Options{Tags: h.store.Inventory(), Authenticator: auth.AuthenticatorFunc(
		func(r *http.Request) (auth.Identity, error) {
			return accounts.Identify(r.Context(), h.people, r.Header.Get("User"))
		})}
	opts.Accounts, opts.Search = h.people, h.index
	h.api, err = api.New(reg, opts)
	require.NoError(b, err)
	return h
}

// fill makes the accounts and repositories of BenchmarkRepositories.
func fill(b *testing.B, store *storage.Store, people *accounts.Accounts) {
	b.Helper()
	ids := map[string]accounts.ID{}
	for _, name := range []string{"boss", "one", "few"} {
		user, err := people.CreateUser(b.Context(), accounts.Actor{}, name, "", nil)
		require.NoError(b, err)
		ids[name] = user.ID
	}
	require.NoError(b, people.AddAdmin(b.Context(), accounts.Actor{}, ids["boss"]))
	for i := range 100 {
		owner := ids["boss"]
		if i == 42 {
			owner = ids["one"]
		}
		_, err := people.CreateOrganisation(b.Context(), accounts.Actor{}, fmt.Sprintf("team-%d", i), owner, nil)
		require.NoError(b, err)
	}
	const index = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	for i := range 10_000 {
		name := fmt.Sprintf("team-%d/app-%d", i%100, i/100)
		put := &registry.PutOptions{Tags: []registry.TagPut{{Name: "v1"}}}
		for j := 0; name == "team-1/app-0" && j < 60; j++ {
			put.Tags = append(put.Tags, registry.TagPut{Name: fmt.Sprintf("v1.%d", j)})
		}
		_, err := store.PutManifest(b.Context(), name, ocispec.MediaTypeImageIndex, []byte(index), put)
		require.NoError(b, err)
		if i%10 != 0 && i%1000 != 1 {
			continue
		}
		_, err = people.UpdateRepository(b.Context(), accounts.Actor{}, name, func(r *accounts.Repository) error {
			r.Description = "# An app\n" + strings.Repeat("It does much. ", 50)
			if i%1000 == 1 {
				r.Visibility = accounts.Public
			}
			return nil
		})
		require.NoError(b, err)
	}
}

// benchmarkList requests a whole list, page by page, of an API for each list.
func benchmarkList(b *testing.B, user, first string, open func() *api.API) {
	var slowest, total, slowestCPU, totalCPU time.Duration
	pages := 0
	for b.Loop() {
		manage := open()
		for path := first; path != ""; pages++ {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set("User", user)
			w := httptest.NewRecorder()
			started, cpu := time.Now(), cpuTime(b)
			manage.ServeHTTP(w, r)
			took, used := time.Since(started), cpuTime(b)-cpu
			slowest, total = max(slowest, took), total+took
			slowestCPU, totalCPU = max(slowestCPU, used), totalCPU+used
			if w.Code != 200 && w.Code != 403 {
				b.Fatal(w.Code, w.Body)
			}
			path = ""
			if link := w.Header().Get("Link"); link != "" {
				u, err := url.Parse(strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`))
				require.NoError(b, err)
				path = u.String()
			}
		}
	}
	for name, d := range map[string]time.Duration{"max-ms": slowest, "max-cpu-ms": slowestCPU,
		"page-ms": total / time.Duration(pages), "page-cpu-ms": totalCPU / time.Duration(pages)} {
		b.ReportMetric(float64(d)/1e6, name)
	}
	b.ReportMetric(float64(pages)/float64(b.N), "pages")
}
