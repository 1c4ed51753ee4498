//go:build linux || darwin

package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

// BenchmarkUsers measures the time of the server for pages of 100 of 100,000 users on a disk: 1,000 users with -short.
// "cold" begins with a new process each time, and "written" follows a change by another process.
func BenchmarkUsers(b *testing.B) {
	users := 100_000
	if testing.Short() {
		users = 1000
	}
	dir := b.TempDir()
	fillDisk(b, dir, users)
	another := openPeople(b, dir)
	for _, bench := range []struct {
		name, query string
		after       string // the name before the page
		cold, write bool
	}{
		{name: "first", query: ""},
		{name: "first/cold", query: "", cold: true},
		{name: "first/written", query: "", write: true},
		{name: "middle", after: fmt.Sprintf("u%06d", users/2)},
		{name: "middle/cold", after: fmt.Sprintf("u%06d", users/2), cold: true},
		{name: "last", after: fmt.Sprintf("u%06d", users-51)},
		{name: "prefix", query: "?q=u0005"},
		{name: "prefix/cold", query: "?q=u0005", cold: true},
		{name: "disabled", query: "?disabled=true"},
		{name: "disabled/cold", query: "?disabled=true", cold: true},
		{name: "active", query: "?disabled=false"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			h := newAPI(b, dir)
			query := bench.query
			if bench.after != "" {
				query = "?after=" + cursor(b, h, bench.after)
			}
			get(b, h, query)
			var cpu time.Duration
			for n := 0; b.Loop(); n++ {
				if bench.cold || bench.write {
					b.StopTimer()
					if bench.cold {
						h = newAPI(b, dir)
						admin(b, h) // the first login reads the facts of the admin
					} else {
						_, err := another.CreateUser(b.Context(), accounts.Actor{Force: true}, fmt.Sprintf("w%d-%d", n, b.N), "", nil)
						require.NoError(b, err)
					}
					b.StartTimer()
				}
				before := cpuTime(b)
				get(b, h, query)
				cpu += cpuTime(b) - before
			}
			b.ReportMetric(float64(cpu.Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}

// cpuTime returns the time of the processor that this process has taken. It does not depend on what else runs.
func cpuTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// fillDisk makes users and the admin boss.
func fillDisk(b *testing.B, dir string, users int) {
	people := openPeople(b, dir)
	boss, err := people.CreateUser(b.Context(), accounts.Actor{Force: true}, "boss", "", nil)
	require.NoError(b, err)
	require.NoError(b, people.AddAdmin(b.Context(), accounts.Actor{}, boss.ID))
	var workers errgroup.Group
	workers.SetLimit(8)
	for i := range users {
		workers.Go(func() error {
			_, err := people.CreateUser(context.Background(), accounts.Actor{Force: true}, fmt.Sprintf("u%06d", i), "", nil)
			return err
		})
	}
	require.NoError(b, workers.Wait())
}

// openPeople opens accounts on a disk.
func openPeople(b *testing.B, dir string) *accounts.Accounts {
	d, err := disk.New(dir, &disk.Options{NoSync: true})
	require.NoError(b, err)
	b.Cleanup(func() { _ = d.Close() })
	people, err := accounts.New(d, nil)
	require.NoError(b, err)
	return people
}

// newAPI returns an API whose callers are all the admin boss.
func newAPI(b *testing.B, dir string) http.Handler {
	d, err := disk.New(dir, &disk.Options{NoSync: true})
	require.NoError(b, err)
	b.Cleanup(func() { _ = d.Close() })
	people, err := accounts.New(d, nil)
	require.NoError(b, err)
	store, err := storage.New(b.Context(), d, nil)
	require.NoError(b, err)
	boss, err := people.Lookup(b.Context(), "boss")
	require.NoError(b, err)
	identify := auth.AuthenticatorFunc(func(*http.Request) (auth.Identity, error) {
		return auth.Identity{Name: "boss", Claims: map[string]any{accounts.AccountClaim: string(boss.ID)}}, nil
	})
	reg, err := registry.New(store, &registry.Options{
		Authenticator: identify, Authorizer: accounts.NewAuthorizer(people), PageKey: []byte("the key of all replicas"),
	})
	require.NoError(b, err)
	handler, err := api.New(reg, &api.Options{Parts: api.Parts{Accounts: people}})
	require.NoError(b, err)
	return handler
}

// cursor returns the parameter after for the page after a user.
func cursor(b *testing.B, h http.Handler, user string) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/v1/users?limit=1&q="+user, nil))
	link, err := url.Parse(strings.Trim(strings.TrimSuffix(w.Header().Get("Link"), `; rel="next"`), "<>"))
	require.NoError(b, err)
	require.NotEmpty(b, link.Query().Get("after"))
	return url.QueryEscape(link.Query().Get("after"))
}

func admin(b *testing.B, h http.Handler) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/v1/admins", nil))
	require.Equal(b, 200, w.Code)
}

func get(b *testing.B, h http.Handler, query string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/v1/users"+query, nil))
	if w.Code != 200 {
		b.Fatal(w.Body.String())
	}
}
