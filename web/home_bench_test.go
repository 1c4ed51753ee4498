//go:build linux || darwin

package web_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/search"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/usage"
	"github.com/registrykit/registry/web"
)

// BenchmarkPages10000 measures the start page, a namespace and searches with 10,000 repositories on disk,
// for an admin, for a user who sees one namespace, and for nobody. It does not contain the check of a
// password.
func BenchmarkPages10000(b *testing.B) {
	page := newBenchPage(b, nil)
	for _, user := range []string{"boss", "one", ""} {
		for _, path := range []string{"/", "/namespaces", "/namespaces/team-42", "/search?q=app", "/search?q=v1",
			"/search?q=team-42+v*", "/search?q=sha256:00"} {
			b.Run(user+path, func(b *testing.B) {
				slowest, cpu := time.Duration(0), cpuTime(b)
				for b.Loop() {
					r := httptest.NewRequest(http.MethodGet, "/ui"+path, nil)
					r.Header.Set("User", user)
					w := httptest.NewRecorder()
					started := time.Now()
					page.ServeHTTP(w, r)
					slowest = max(slowest, time.Since(started))
					if w.Code != http.StatusOK && w.Code != http.StatusNotFound {
						b.Fatal(w.Code, w.Body)
					}
				}
				b.ReportMetric(float64(slowest)/1e6, "max-ms")
				b.ReportMetric(float64(cpuTime(b)-cpu)/1e6/float64(b.N), "cpu-ms/op")
			})
		}
	}
}

// cpuTime returns the CPU time of the process.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// newBenchPage returns the page of BenchmarkPages10000. The header User names the caller. fill
// pushes more before the index is made. It may be nil.
func newBenchPage(b *testing.B, fill func(*storage.Store)) *web.Page {
	b.Helper()
	d, err := disk.New(b.TempDir(), &disk.Options{NoSync: true})
	require.NoError(b, err)
	store, err := storage.New(b.Context(), d, &storage.Options{History: storage.DefaultGrace})
	require.NoError(b, err)
	people, err := accounts.New(d, nil)
	require.NoError(b, err)
	fillBench(b, store, people)
	if fill != nil {
		fill(store)
	}
	reg, err := registry.New(store, &registry.Options{Authorizer: accounts.NewAuthorizer(people)})
	require.NoError(b, err)
	opts := &api.Options{Tags: store.Inventory(), Authenticator: auth.AuthenticatorFunc(
		func(r *http.Request) (auth.Identity, error) {
			if name := r.Header.Get("User"); name != "" {
				return accounts.Identify(r.Context(), people, name)
			}
			return auth.Identity{}, nil
		})}
	opts.Accounts, opts.Bin = people, store.Inventory()
	opts.Search, err = search.New(store, &search.Options{Accounts: people, Content: store})
	require.NoError(b, err)
	opts.Usage, err = usage.New(store, d, nil)
	require.NoError(b, err)
	opts.Pulls, err = pulltime.New(d, nil)
	require.NoError(b, err)
	started := time.Now()
	require.NoError(b, opts.Search.Refresh(b.Context()))
	b.Logf("first refresh: %s, %+v", time.Since(started), opts.Search.State())
	started = time.Now()
	require.NoError(b, opts.Search.Refresh(b.Context()))
	b.Logf("next refresh: %s", time.Since(started))
	_, err = opts.Usage.Count(b.Context(), nil)
	require.NoError(b, err)
	manage, err := api.New(reg, opts)
	require.NoError(b, err)
	page, err := web.New(manage, nil)
	require.NoError(b, err)
	return page
}

// fillBench makes 10,000 repositories in 100 organisations. The user one owns an organisation, and one repository in
// 1,000 is public.
func fillBench(b *testing.B, store *storage.Store, people *accounts.Accounts) {
	b.Helper()
	ids := map[string]accounts.ID{}
	for _, name := range []string{"boss", "one"} {
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
		_, err := people.CreateOrganisation(b.Context(), accounts.Actor{}, "team-"+strconv.Itoa(i), owner, nil)
		require.NoError(b, err)
	}
	pushEmpty(b, store, 10_000)
	for i := range 10 {
		_, err := people.UpdateRepository(b.Context(), accounts.Actor{}, "team-1/app-"+strconv.Itoa(i*10),
			func(r *accounts.Repository) error {
				r.Visibility = accounts.Public
				return nil
			})
		require.NoError(b, err)
	}
}
