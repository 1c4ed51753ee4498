package api_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// newBinSite is a site with the bin, in which ann owns acme.
func newBinSite(t *testing.T) *site {
	t.Helper()
	return newSite(t, func(s *site, opts *api.Options) {
		opts.Accounts, opts.Tags, opts.Bin = s.people, s.store.Inventory(), s.store.Inventory()
	})
}

// TestBin: the bin has deletes of all repositories that the caller may see, also of those that are gone, and pages that
// examine little have each of them once.
func TestBin(t *testing.T) {
	s := newBinSite(t)
	image := registrytest.RandomImage(1, 1, 10)
	backend := s.store
	want := map[string]bool{}
	for _, repo := range []string{"acme/a", "acme/a/b", "acme", "acme/c", "bob/app"} {
		for i := range 3 {
			name := fmt.Sprintf("v%d", i)
			require.NoError(t, image.Push(t.Context(), s.store, repo, name))
			require.NoError(t, backend.DeleteManifest(t.Context(), repo, reference.Ref{Tag: name}, nil))
			want[repo+" untag "+name] = true
		}
		require.NoError(t, backend.DeleteRepository(t.Context(), repo, nil))
		want[repo+" delete-repository "] = true
	}
	read := func(user, path string) (found map[string]bool, pages int) {
		found = map[string]bool{}
		for path != "" {
			var list types.DeletedList
			a := s.do(t, user, "GET", path, nil).want(200).into(&list)
			for _, d := range list.Items {
				key := d.Repository + " " + d.Change + " " + d.Tag
				require.False(t, found[key], key)
				require.WithinDuration(t, d.Time.Add(s.store.Inventory().HistoryKept()), d.Until, time.Second)
				require.True(t, d.Restorable)
				require.False(t, d.Exists)
				found[key] = true
			}
			path = a.next()
			pages++
		}
		return found, pages
	}
	all, pages := read("boss", "/v1/bin")
	require.Equal(t, want, all)
	require.Equal(t, 1, pages)
	for limit := 1; limit <= 4; limit++ {
		all, _ = read("boss", fmt.Sprintf("/v1/bin?limit=%d", limit))
		require.Equal(t, want, all)
	}
	s.api.SetScanned(1)
	all, pages = read("boss", "/v1/bin")
	require.Equal(t, want, all)
	require.Greater(t, pages, 5)
	ann, _ := read("ann", "/v1/bin")
	require.Len(t, ann, 16)
	below, _ := read("boss", "/v1/bin?namespace=acme%2Fa")
	require.Len(t, below, 8)
	below, _ = read("boss", "/v1/bin?namespace=acme&limit=3")
	require.Len(t, below, 16)
	none, _ := read("boss", "/v1/bin?by=ann")
	require.Empty(t, none)
	none, _ = read("boss", "/v1/bin?since="+time.Now().Add(time.Minute).UTC().Format(time.RFC3339))
	require.Empty(t, none)
	s.do(t, "", "GET", "/v1/bin", nil).fails(401, "UNAUTHORIZED")
	s.do(t, "ann", "GET", "/v1/bin?namespace=A", nil).fails(400, "NAME_INVALID")
}

// TestBinShowsWhatIsBack: an element that exists again says so.
func TestBinShowsWhatIsBack(t *testing.T) {
	s := newBinSite(t)
	one, two := registrytest.RandomImage(1, 1, 10), registrytest.RandomImage(2, 1, 10)
	require.NoError(t, one.Push(t.Context(), s.store, "acme/app", "v1"))
	require.NoError(t, two.Push(t.Context(), s.store, "acme/app", "v2"))
	s.do(t, "ann", "DELETE", repoPath("acme/app", "tags", "v1"), nil, "If-Match: *").want(204)
	s.do(t, "ann", "DELETE", repoPath("acme/app", "manifests", two.Descriptor.Digest.String()), nil,
		"If-Match: *").want(204)
	require.NoError(t, two.Push(t.Context(), s.store, "acme/app", "v1"))
	var list types.DeletedList
	s.do(t, "ann", "GET", "/v1/bin", nil).want(200).into(&list)
	require.Len(t, list.Items, 2)
	require.True(t, list.Items[0].Exists)
	require.Equal(t, []string{"v2"}, list.Items[0].Tags)
	require.Equal(t, "ann", list.Items[0].By)
	require.Equal(t, two.Descriptor.Digest.String(), list.Items[1].Now)
	require.Equal(t, one.Descriptor.Digest.String(), list.Items[1].Manifest.Digest)

	// A restore of a tag has conditions.
	restore := types.Restore{Tag: "v1", To: one.Descriptor.Digest.String()}
	path := repoPath("acme/app", "restore")
	s.do(t, "ann", "POST", path, restore, "If-None-Match: *").want(412)
	s.do(t, "ann", "POST", path, restore, `If-Match: "`+one.Descriptor.Digest.String()+`"`).want(412)
	s.do(t, "ann", "POST", path, restore, `If-Match: "`+two.Descriptor.Digest.String()+`"`).want(200)
	s.do(t, "ann", "POST", path, types.Restore{}, "If-Match: *").fails(400, "INVALID")
}
