package storage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// TestDeleteManifestTwiceRestoresAllTags lets two clients delete the same manifest at once, or
// one continue where another has died. A restore brings back all of the tags, whichever delete
// removed them.
func TestDeleteManifestTwiceRestoresAllTags(t *testing.T) {
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
						f := drivertest.NewFaulty(driver, &drivertest.FaultyOptions{Before: func(_ context.Context,
							c drivertest.Call) error {
							if c.Number == n+1 { // New makes the first call
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

// TestDeleteRepositoryTwiceRestoresAll lets two clients delete the same repository at once. One
// restore brings back what both have deleted.
func TestDeleteRepositoryTwiceRestoresAll(t *testing.T) {
	for n := 1; ; n++ {
		driver, reached := newMemory(t), false
		s := newStore(t, driver, withHistory)
		config := pushBlob(t, s, "r", []byte("{}"))
		putImage(t, s, "r", image("one", nil, config), tags("v1"))
		putImage(t, s, "r", image("two", nil, config), tags("v2"))
		_ = beforeCall(t, driver, withHistory, n+1, func(s *storage.Store) { // New makes the first call
			reached = true
			_ = s.DeleteRepository(t.Context(), "r", nil)
		}).DeleteRepository(t.Context(), "r", nil) // either delete may find nothing
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

// TestDeleteTakenOverAndAbandoned checks a delete that takes over the mark of another delete,
// and then gives up. Either it is part of a collection that finishes an interrupted delete of
// the repository, and another client begins that delete anew, or a tag forbids it. It leaves the
// manifest to the other delete, which succeeds.
func TestDeleteTakenOverAndAbandoned(t *testing.T) {
	var desc ocispec.Descriptor
	for name, c := range map[string]struct {
		scene  func(t *testing.T, driver driver.Driver)
		giveUp func(s *storage.Store) error
		del    func(s *storage.Store) error
	}{
		"collector": {
			scene: func(t *testing.T, driver driver.Driver) {
				f := drivertest.NewFaulty(driver, nil)
				dying := newStore(t, f, nil)
				f.CutAfter(1) // after the write that begins the delete
				require.Error(t, dying.DeleteRepository(t.Context(), "r", nil))
			},
			giveUp: func(s *storage.Store) error {
				_, err := s.Collect(t.Context(), noGrace)
				return err
			},
			del: func(s *storage.Store) error { return s.DeleteRepository(t.Context(), "r", nil) },
		},
		"kept": {
			scene: func(*testing.T, driver.Driver) {},
			giveUp: func(s *storage.Store) error {
				err := s.DeleteManifest(t.Context(), "r", byDigest(desc.Digest), keepAll)
				if errors.Is(err, registry.ErrDenied) {
					return nil
				}
				return err
			},
			del: func(s *storage.Store) error { return s.DeleteManifest(t.Context(), "r", byDigest(desc.Digest), nil) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			driver := newMemory(t)
			s := newStore(t, driver, nil)
			desc = putImage(t, s, "r", image("", nil, pushBlob(t, s, "r", []byte("{}"))), tags("v1"))
			c.scene(t, driver)
			marked, givenUp, deleted := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			other := newStore(t, drivertest.NewFaulty(driver,
				&drivertest.FaultyOptions{Before: func(_ context.Context, call drivertest.Call) error {
					if call.Op == "Delete" && call.Key == "r/r/t/v1" {
						close(marked)
						<-givenUp
					}
					return nil
				}}), nil)
			begun := false
			first := newStore(t, drivertest.NewFaulty(driver,
				&drivertest.FaultyOptions{Before: func(_ context.Context, call drivertest.Call) error {
					if call.Op == "Open" && strings.HasPrefix(call.Key, "r/r/m/") && !begun {
						begun = true
						go func() { deleted <- c.del(other) }()
						<-marked
					}
					return nil
				}}), nil)
			err := c.giveUp(first)
			close(givenUp)
			require.NoError(t, err)
			require.NoError(t, <-deleted)
			_, err = s.GetManifest(t.Context(), "r", byDigest(desc.Digest))
			require.ErrorIs(t, err, registry.ErrManifestUnknown)
			require.Empty(t, keys(t, driver, "r/r/t/"))
		})
	}
}

// TestDeleteRepositoryInterruptedHidesAll interrupts a delete of a repository after each of its
// writes, and the collection that finishes the delete after each of its own. Content that can be
// restored is not served, and a restore brings back all of it.
func TestDeleteRepositoryInterruptedHidesAll(t *testing.T) {
	for _, opts := range []*storage.CollectOptions{nil, noGrace} {
		for n, cut := 2, true; cut; n++ { // the first two write the event and begin the delete
			for k, ended := 0, false; !ended; k++ {
				driver := newMemory(t)
				s := newStore(t, driver, withHistory)
				config, layer := pushBlob(t, s, "r", []byte("{}")), pushBlob(t, s, "r", random(1, 50_000))
				putImage(t, s, "r", image("", nil, config, layer), tags("v1"))
				faulty := drivertest.NewFaulty(driver, nil)
				dying := newStore(t, faulty, withHistory)
				faulty.CutAfter(n)
				_ = dying.DeleteRepository(t.Context(), "r", nil)
				cut = faulty.Cut()
				faulty = drivertest.NewFaulty(driver, nil)
				dying = newStore(t, faulty, withHistory)
				faulty.CutAfter(k)
				_, _ = dying.Collect(t.Context(), opts)
				ended = !faulty.Cut()
				for range 2 {
					collected(t, s, opts)
				}
				at := fmt.Sprintf("writes %d and %d", n, k)
				require.Empty(t, collect(t, s.Repositories(t.Context(), nil)), at)
				for _, d := range []ocispec.Descriptor{config, layer} {
					_, err := s.StatBlob(t.Context(), "r", d.Digest, nil)
					require.ErrorIs(t, err, registry.ErrBlobUnknown, at)
					_, err = s.MountBlob(t.Context(), "q", d.Digest, nil)
					require.ErrorIs(t, err, registry.ErrBlobUnknown, at)
				}
				_, err := s.Restore(t.Context(), "r", reference.Ref{}, nil)
				require.NoError(t, err, at)
				got, err := readBlob(t.Context(), s, "r", layer.Digest)
				require.NoError(t, err, at)
				require.Equal(t, random(1, 50_000), got, at)
				require.Equal(t, []string{"v1"}, collect(t, s.Tags(t.Context(), "r", nil)), at)
			}
			require.True(t, cut || n > 10)
		}
	}
}

// TestDeleteLargeRepositoryBoundsMemory checks that the delete of a repository holds only some
// of its links in memory at once. A link can hold a whole small blob.
func TestDeleteLargeRepositoryBoundsMemory(t *testing.T) {
	const blobs, atOnce = 10_000, 4096
	driver := newMemory(t)
	s := newStore(t, driver, nil)
	putImage(t, s, "r", image("one", nil, pushBlob(t, s, "r", []byte("{}"))), tags("v1"))
	for i := range blobs {
		pushBlob(t, s, "r", fmt.Appendf(nil, "%d", i))
	}
	var mu sync.Mutex
	marked, most := 0, 0
	f := drivertest.NewFaulty(driver, &drivertest.FaultyOptions{After: func(_ context.Context, c drivertest.Call,
		err error) error {
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

// TestDeleteAfterInterruptedDelete interrupts a delete of a manifest after each of its writes.
// Another delete removes the rest, including the tags: they do not return when the manifest is
// pushed again.
func TestDeleteAfterInterruptedDelete(t *testing.T) {
	for n := 0; ; n++ {
		driver := newMemory(t)
		s := newStore(t, driver, nil)
		config := pushBlob(t, s, "r", []byte("{}"))
		content := image("", &config, config)
		desc := putImage(t, s, "r", content, tags("v1", "v2", "v3"))
		faulty := drivertest.NewFaulty(driver, nil)
		dying := newStore(t, faulty, nil)
		faulty.CutAfter(n)
		if err := dying.DeleteManifest(t.Context(), "r", byDigest(desc.Digest), nil); err == nil {
			require.Greater(t, n, 8)
			return
		}
		err := s.DeleteManifest(t.Context(), "r", byDigest(desc.Digest), nil)
		if err != nil {
			require.ErrorIs(t, err, registry.ErrManifestUnknown)
		}
		putImage(t, s, "r", content, nil)
		require.Empty(t, collect(t, s.Tags(t.Context(), "r", nil)), "after write %d", n)
	}
}
