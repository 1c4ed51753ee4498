package hub

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

// scale is what a storage holds.
type scale struct{ users, repositories, organisations, members int }

// TestScale reads each list of the API page by page, over a storage with many users and repositories, and prints how
// long its pages take. Each page is as it should be, and no list ends early. The long form has 100,000 users and 10,000
// repositories; it reads at most 1,200 pages of a list.
func TestScale(t *testing.T) {
	of := scale{users: 300, repositories: 100, organisations: 10, members: 50}
	if *full {
		of = scale{users: 100_000, repositories: 10_000, organisations: 100, members: 1000}
	}
	dir := filepath.Join(t.TempDir(), "data")
	start := time.Now()
	of.fill(t, dir)
	t.Logf("%+v were stored after %v", of, time.Since(start).Round(time.Second))
	s := newSite(t, 1, harness.Options{Storage: dir})
	ann := login{name: "boss", secret: annPassword}
	eventually(t, 10*time.Minute, func() error { // repositories show their usage
		if r := s.do(t, ann, "GET", "/api/v1/jobs/usage", ""); !strings.Contains(string(r.body), `"ended"`) {
			return missing("usage: %s", r.body)
		}
		return nil
	})
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "list\tcaller\tpages\telements\tp50\tmax")
	member := login{name: "member", secret: annPassword}
	for _, list := range []struct {
		path string
		as   login
		want int // the number of elements, or -1
	}{
		{"users", ann, of.users + 2}, {"users?q=u0000", ann, -1}, {"users?disabled=true", ann, 0}, {"admins", ann, 1},
		{"organisations", ann, of.organisations}, {"organisations", member, 1},
		{"organisations/team-0/members", ann, of.members + 1}, {"organisations/team-0/teams", ann, 1},
		{"organisations/team-0/owners", ann, 1}, {"organisations/team-0/teams/dev/members", ann, of.members},
		{"namespaces/team-0/robots", ann, 0}, {"users/u000000/memberships", ann, 1}, {"accounts/boss/tokens", ann, 0},
		{"user/sessions", ann, 0},
		{"repositories", ann, of.repositories}, {"repositories", member, of.repositories / of.organisations},
		{"repositories?namespace=team-1", ann, of.repositories / of.organisations},
		{"repositories?q=app-1", ann, -1}, {"repositories/team-1%2Fapp-0/tags", ann, 61},
		{"repositories/team-1%2Fapp-0/tags?q=v1.5", ann, 11}, {"repositories/team-1%2Fapp-0/history", ann, -1},
		{"repositories/team-1%2Fapp-0/manifests/v1/referrers", ann, 0}, {"search?q=app-1", ann, -1}, {"search?q=u0", ann, -1},
		{"search?q=app", member, -1}, {"usage/children?prefix=team-1", ann, of.repositories / of.organisations},
		{"usage/children", ann, of.organisations}, {"usage/largest", ann, -1}, {"quotas", ann, -1},
		{"quota/limits", ann, 1}, {"scrub/losses", ann, 0}, {"webhooks", ann, 0}, {"jobs", ann, -1},
		{"mirror/pins", ann, 0}, {"rules", ann, -1}, {"audit", ann, -1},
	} {
		s.do(t, list.as, "GET", "/api/v1/user", "") // the password is checked once
		took, elements, ok := s.pages(t, list.as, list.path)
		if !ok {
			continue // this hub does not have the part
		}
		if list.want >= 0 {
			require.Equal(t, list.want, elements, "%s as %q", list.path, list.as.name)
		}
		slices.Sort(took)
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%v\t%v\n", list.path, list.as.name, len(took), elements,
			took[len(took)/2].Round(10*time.Microsecond), took[len(took)-1].Round(10*time.Microsecond))
	}
	require.NoError(t, table.Flush())
	t.Logf("times on loopback:\n%s", out.String())
	if file := os.Getenv("SCALE_TABLE"); file != "" {
		require.NoError(t, os.WriteFile(file, []byte(out.String()), 0o600))
	}
	s.requireCleanLog(t)
}

// pages reads a list with pages of 100, and returns the time of each page. It reports false for a list that the API
// does not have.
func (s *site) pages(t *testing.T, as login, path string) (took []time.Duration, elements int, ok bool) {
	t.Helper()
	next := "/api/v1/" + path
	if !strings.HasPrefix(path, "search") && !strings.HasPrefix(path, "usage/largest") {
		next += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + "limit=100"
	}
	for len(took) < 1200 {
		var page struct{ Items []any }
		start := time.Now()
		r, err := s.at(t, s.Servers()[0].Addr, as, http.MethodGet, next, "")
		took = append(took, time.Since(start))
		require.NoError(t, err)
		if r.status == http.StatusNotFound || r.status == http.StatusBadRequest && len(took) == 1 {
			if !strings.Contains(path, "limit") && strings.HasSuffix(next, "limit=100") { // it has no pages
				next = strings.TrimRight(strings.TrimSuffix(next, "limit=100"), "?&")
				took = took[:0]
				path += "#limit"
				continue
			}
			return nil, 0, false
		}
		require.Equal(t, 200, r.status, "%s: %s", next, r.body)
		r.into(t, &page)
		elements += len(page.Items)
		target, _, found := strings.Cut(r.header.Get("Link"), ">")
		if !found {
			break
		}
		next = strings.TrimPrefix(target, "<")
	}
	return took, elements, true
}

// fill makes the admin boss, the user member, who is in the first organisation, users, organisations, and repositories.
func (of scale) fill(t *testing.T, dir string) {
	t.Helper()
	d, err := disk.New(dir, &disk.Options{NoSync: true})
	require.NoError(t, err)
	people, err := accounts.New(d, nil)
	require.NoError(t, err)
	by := accounts.Actor{Force: true}
	boss, err := people.CreateUser(t.Context(), by, "boss", annPassword, nil)
	require.NoError(t, err)
	member, err := people.CreateUser(t.Context(), by, "member", annPassword, nil)
	require.NoError(t, err)
	require.NoError(t, people.AddAdmin(t.Context(), by, boss.ID))
	ids := make([]accounts.ID, of.users)
	parallel(t, of.users, func(i int) error {
		u, err := people.CreateUser(t.Context(), by, fmt.Sprintf("u%06d", i), "", nil)
		if err == nil {
			ids[i] = u.ID
		}
		return err
	})
	organisations := make([]accounts.ID, of.organisations)
	parallel(t, of.organisations, func(i int) error {
		o, err := people.CreateOrganisation(t.Context(), by, fmt.Sprintf("team-%d", i), boss.ID, nil)
		if err == nil {
			organisations[i] = o.ID
		}
		return err
	})
	_, err = people.CreateTeam(t.Context(), by, organisations[0], "dev",
		&accounts.TeamOptions{Grants: []accounts.Grant{{Repositories: "**", Role: accounts.Read}}})
	require.NoError(t, err)
	members := append([]accounts.ID{member.ID}, ids[:of.members-1]...)
	for _, id := range members {
		require.NoError(t, people.JoinTeam(t.Context(), by, organisations[0], "dev", id))
	}
	store, err := storage.New(t.Context(), d, &storage.Options{History: 30 * 24 * time.Hour})
	require.NoError(t, err)
	const index = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	parallel(t, of.repositories, func(i int) error {
		name := fmt.Sprintf("team-%d/app-%d", i%of.organisations, i/of.organisations)
		put := &registry.PutOptions{Tags: []registry.TagPut{{Name: "v1"}}}
		for j := 0; name == "team-1/app-0" && j < 60; j++ {
			put.Tags = append(put.Tags, registry.TagPut{Name: fmt.Sprintf("v1.%d", j)})
		}
		_, err := store.PutManifest(t.Context(), name, v1.MediaTypeImageIndex, []byte(index), put)
		return err
	})
	require.NoError(t, d.Close())
}

// parallel calls f for 0 to n-1, eight at a time.
func parallel(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	var next atomic.Int64
	errs := make([]error, 8)
	var workers sync.WaitGroup
	for w := range errs {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && errs[w] == nil; i = int(next.Add(1)) - 1 {
				errs[w] = f(i)
			}
		})
	}
	workers.Wait()
	require.NoError(t, errors.Join(errs...))
}
