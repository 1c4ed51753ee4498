package storage_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// TestHistories: the list has every repository with a history, also deleted ones, once, and continues behind any of
// them.
func TestHistories(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		ctx := t.Context()
		s := newStore(t, d, &storage.Options{History: time.Hour})
		repos := []string{"acme", "acme/app", "acme-x", "acme.y/app", "acme/app/sub", "b"}
		for _, repo := range repos {
			putImage(t, s, repo, image("x", nil, pushBlob(t, s, repo, []byte("config"))), tags("v1"))
		}
		require.NoError(t, s.DeleteRepository(ctx, "acme/app", nil))
		v := s.Inventory()
		require.Equal(t, time.Hour, v.HistoryKept())
		all := collect(t, v.Histories(ctx, nil))
		require.ElementsMatch(t, repos, all)
		for i, repo := range all {
			rest := collect(t, v.Histories(ctx, &storage.HistoriesOptions{After: repo}))
			require.Equal(t, append([]string{}, all[i+1:]...), append([]string{}, rest...), repo)
		}
		below := collect(t, v.Histories(ctx, &storage.HistoriesOptions{Prefix: "acme/"}))
		require.ElementsMatch(t, []string{"acme/app", "acme/app/sub"}, below)
		require.Empty(t, collect(t, v.Histories(ctx, &storage.HistoriesOptions{Prefix: "acme/", After: "b"})))
		require.Empty(t, collect(t, v.Histories(ctx, &storage.HistoriesOptions{Prefix: "none"})))
	})
}

// TestHistoryOfKinds: Changes selects kinds, Scan ends a list, and the manifests of a deleted
// repository name its delete.
func TestHistoryOfKinds(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, memory.New(nil), &storage.Options{History: time.Hour})
	desc := putImage(t, s, "app", image("x", nil, pushBlob(t, s, "app", []byte("config"))), tags("v1", "v2"))
	require.NoError(t, s.DeleteManifest(ctx, "app", reference.Ref{Tag: "v2"}, nil))
	require.NoError(t, s.DeleteRepository(ctx, "app", nil))
	list := func(opts *registry.HistoryOptions) (found []registry.HistoryEntry) {
		for e, err := range s.History(ctx, "app", opts) {
			require.NoError(t, err)
			found = append(found, e)
		}
		return found
	}
	all := list(nil)
	require.Len(t, all, 5)
	of := list(&registry.HistoryOptions{Changes: []registry.Change{registry.ChangeDeleteRepository}})
	require.Len(t, of, 1)
	deleted := list(&registry.HistoryOptions{Changes: []registry.Change{registry.ChangeDelete}})
	require.Len(t, deleted, 1)
	require.Equal(t, desc.Digest, deleted[0].Before.Digest)
	require.Equal(t, of[0].ID, deleted[0].Of)
	scanned := 0
	some := list(&registry.HistoryOptions{Scan: func(string) bool { scanned++; return scanned <= 2 }})
	require.Equal(t, all[:2], some)
	require.Equal(t, 3, scanned)
}

// TestTagsOf: the tags of a manifest are found, and no others.
func TestTagsOf(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, nil)
		config := pushBlob(t, s, "app", []byte("config"))
		one := putImage(t, s, "app", image("one", nil, config), tags("v1", "latest", "old"))
		two := putImage(t, s, "app", image("two", nil, config), tags("latest"))
		require.NoError(t, s.DeleteManifest(t.Context(), "app", reference.Ref{Tag: "old"}, nil))
		names := func(of registry.Manifest) (names []string) {
			for tag, err := range s.Inventory().TagsOf(t.Context(), "app", of.Descriptor.Digest) {
				require.NoError(t, err)
				require.Equal(t, of.Descriptor.Digest, tag.Descriptor.Digest)
				require.False(t, tag.Set.IsZero())
				names = append(names, tag.Name)
			}
			return names
		}
		require.Equal(t, []string{"v1"}, names(registry.Manifest{Descriptor: one}))
		require.Equal(t, []string{"latest"}, names(registry.Manifest{Descriptor: two}))
		require.Error(t, firstError(s.Inventory().TagsOf(t.Context(), "app", "x")))
		require.Empty(t, collect(t, s.Inventory().TagsOf(t.Context(), "none", one.Digest)))
	})
}
