package storage_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/storagetest"
)

// TestDeletesOfOneManifest: when two delete the same manifest, or one has died half-way and another goes on, what comes back with it are all the
// tags that have gone, whoever has removed them.
func TestDeletesOfOneManifest(t *testing.T) {
	collector := func(t *testing.T, s *storage.Store) {
		_, err := s.Collect(t.Context(), &storage.CollectOptions{Grace: -1, Untagged: true})
		require.NoError(t, err)
	}
	for name, second := range map[string]func(t *testing.T, s *storage.Store, del func(s *storage.Store) error){
		"user": func(t *testing.T, s *storage.Store, del func(s *storage.Store) error) {
			if err := del(s); err != nil {
				require.NotErrorIs(t, err, registry.ErrUnavailable)
			}
		},
		"collector": func(t *testing.T, s *storage.Store, _ func(s *storage.Store) error) { collector(t, s) },
	} {
		for what, whole := range map[string]bool{"manifest": false, "repository": true} {
			for how, cut := range map[string]bool{"beside": false, "after": true} {
				t.Run(name+"/"+what+"/"+how, func(t *testing.T) {
					for n := 1; ; n++ {
						driver := newMemory(t)
						s := newStore(t, driver, withHistory)
						content := image("one", nil, pushBlob(t, s, "r", []byte("{}")))
						desc := putImage(t, s, "r", content, tags("v1", "v2"))
						ref := byDigest(desc.Digest)
						if whole {
							ref = reference.Ref{}
						}
						del := func(s *storage.Store) error {
							if whole {
								return s.DeleteRepository(t.Context(), "r", nil)
							}
							return s.DeleteManifest(t.Context(), "r", ref, nil)
						}
						reached := false
						f := storagetest.NewFaulty(driver, &storagetest.FaultyOptions{Before: func(_ context.Context, c storagetest.Call) error {
							if c.Number == n+1 { // the first is that of New
								reached = true
								if !cut {
									second(t, newStore(t, driver, withHistory), del)
								}
							}
							return nil
						}})
						first := newStore(t, f, withHistory)
						if cut {
							f.CutAfter(n)
						}
						err := del(first)
						again := newStore(t, driver, withHistory)
						if cut {
							second(t, again, del)
							if err = del(again); err != nil {
								err = nil
							}
						}
						if err != nil {
							require.NotErrorIs(t, err, registry.ErrUnavailable)
						}
						at := fmt.Sprint("call ", n)
						_, err = again.Restore(t.Context(), "r", ref, nil)
						require.NoError(t, err, at)
						if got := collect(t, again.Tags(t.Context(), "r", nil)); len(got) != 2 {
							for e := range again.History(t.Context(), "r", nil) {
								t.Log(e.Change, e.Tag, e.Tags, e.Unconfirmed)
							}
							t.Errorf("%s: %v", at, got)
						}
						if cut && !f.Cut() || !cut && !reached {
							require.Greater(t, n, 5)
							return
						}
					}
				})
			}
		}
	}
}

// TestDeletesOfOneRepository: what two have deleted who delete the same repository comes back together.
func TestDeletesOfOneRepository(t *testing.T) {
	for n := 1; ; n++ {
		driver, reached := newMemory(t), false
		s := newStore(t, driver, withHistory)
		config := pushBlob(t, s, "r", []byte("{}"))
		putImage(t, s, "r", image("one", nil, config), tags("v1"))
		putImage(t, s, "r", image("two", nil, config), tags("v2"))
		_ = beforeCall(t, driver, withHistory, n+1, func(s *storage.Store) { // the first is that of New
			reached = true
			_ = s.DeleteRepository(t.Context(), "r", nil)
		}).DeleteRepository(t.Context(), "r", nil) // either of them may find nothing any more
		require.Empty(t, collect(t, s.Repositories(t.Context(), nil)))
		if !reached {
			require.Greater(t, n, 20)
			return
		}
		res, err := s.Restore(t.Context(), "r", reference.Ref{}, nil)
		require.NoError(t, err, n)
		require.Empty(t, res.Lost, n)
		require.Equal(t, []string{"v1", "v2"}, collect(t, s.Tags(t.Context(), "r", nil)), n)
	}
}

// TestDeleteOfLargeRepository: the delete of a repository has in mind only some of its blobs at once, which may be in their links.
func TestDeleteOfLargeRepository(t *testing.T) {
	const blobs, atOnce = 10_000, 4096
	driver := newMemory(t)
	s := newStore(t, driver, nil)
	putImage(t, s, "r", image("one", nil, pushBlob(t, s, "r", []byte("{}"))), tags("v1"))
	for i := range blobs {
		pushBlob(t, s, "r", fmt.Appendf(nil, "%d", i))
	}
	var mu sync.Mutex
	marked, most := 0, 0
	f := storagetest.NewFaulty(driver, &storagetest.FaultyOptions{After: func(_ context.Context, c storagetest.Call, err error) error {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(c.Key, "r/r/b/") {
			switch c.Op {
			case "Put":
				marked++
			case "Delete":
				marked--
			}
			most = max(most, marked)
		}
		return err
	}})
	require.NoError(t, newStore(t, f, nil).DeleteRepository(t.Context(), "r", nil))
	require.Equal(t, atOnce, most)
	require.Empty(t, keys(t, driver, "r/"))
}

// TestBlobsOfInterruptedDelete cuts the delete of a repository off after each of its writes, and so the collection that is to finish it. Once it is finished,
// no blob is served, and all comes back by a restore.
func TestBlobsOfInterruptedDelete(t *testing.T) {
	for n := 2; ; n++ { // until then, there is nothing that a collector could know
		end := false
		for m := 0; ; m++ {
			driver := newMemory(t)
			s := newStore(t, driver, withHistory)
			config, layer := pushBlob(t, s, "r", []byte("{}")), pushBlob(t, s, "r", random(1, 50_000))
			putImage(t, s, "r", image("", nil, config, layer), tags("t"))
			faulty := storagetest.NewFaulty(driver, nil)
			dying := newStore(t, faulty, withHistory)
			faulty.CutAfter(n)
			_ = dying.DeleteRepository(t.Context(), "r", nil)
			end = !faulty.Cut()
			faulty = storagetest.NewFaulty(driver, nil)
			dying = newStore(t, faulty, withHistory)
			faulty.CutAfter(m)
			_, _ = dying.Collect(t.Context(), nil)
			for range 2 {
				collected(t, s, nil)
			}
			at := fmt.Sprint("writes ", n, " ", m)
			require.Empty(t, collect(t, s.Repositories(t.Context(), nil)), at)
			for _, b := range []ocispec.Descriptor{config, layer} {
				_, err := s.StatBlob(t.Context(), "r", b.Digest, nil)
				require.ErrorIs(t, err, registry.ErrBlobUnknown, at)
			}
			_, err := s.Restore(t.Context(), "r", reference.Ref{}, nil)
			require.NoError(t, err, at)
			_, err = readBlob(t.Context(), s, "r", layer.Digest)
			require.NoError(t, err, at)
			require.Equal(t, []string{"t"}, collect(t, s.Tags(t.Context(), "r", nil)), at)
			if !faulty.Cut() {
				break
			}
		}
		if end {
			require.Greater(t, n, 10)
			return
		}
	}
}
