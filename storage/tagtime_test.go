package storage_test

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// setTimes returns when each tag of a repository was set.
func setTimes(t *testing.T, s *storage.Store, repo string) map[string]time.Time {
	t.Helper()
	found := map[string]time.Time{}
	for tag, err := range s.Inventory().Tags(t.Context(), repo) {
		require.NoError(t, err)
		found[tag.Name] = tag.Set
	}
	return found
}

// twoImages pushes two images to "a/b", the first with the tags.
func twoImages(t *testing.T, s registry.Backend, names ...string) (one, two ocispec.Descriptor, content []byte) {
	t.Helper()
	config := pushBlob(t, s, "a/b", []byte("{}"))
	content = image("one", nil, config)
	one = putImage(t, s, "a/b", content, tags(names...))
	two = putImage(t, s, "a/b", image("two", nil, config), nil)
	return one, two, content
}

// TestTagSetTime checks that pushes and restores set the time of a tag, and that other writes of its
// record keep it.
func TestTagSetTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemory(t)
		s := newStore(t, d, withHistory)
		one, two, content := twoImages(t, s, "v1", "v2")
		first := setTimes(t, s, "a/b")
		require.WithinDuration(t, time.Now(), first["v1"], 0)

		time.Sleep(time.Hour)
		putImage(t, s, "a/b", content, tags("v1")) // again to the same manifest
		set := setTimes(t, s, "a/b")
		require.Equal(t, time.Hour, set["v1"].Sub(first["v1"]))
		require.Equal(t, first["v2"], set["v2"])

		// A move that is announced and not made keeps the time, and so does the collection that
		// aborts it.
		time.Sleep(time.Hour)
		announce(t, d, s, two)
		require.Equal(t, set, setTimes(t, s, "a/b"))
		time.Sleep(time.Hour)
		collected(t, s, &storage.CollectOptions{Grace: -1})
		require.Equal(t, set, setTimes(t, s, "a/b"))

		// A delete and a restore keep it, too, unless the restore moves a tag that exists.
		require.NoError(t, s.DeleteManifest(t.Context(), "a/b", byTag("v1"), nil))
		require.NoError(t, s.DeleteManifest(t.Context(), "a/b", byDigest(one.Digest), nil))
		time.Sleep(time.Hour)
		_, err := s.Restore(t.Context(), "a/b", byDigest(one.Digest), nil)
		require.NoError(t, err)
		_, err = s.Restore(t.Context(), "a/b", byTag("v1"), nil)
		require.NoError(t, err)
		require.Equal(t, set, setTimes(t, s, "a/b"))
		_, err = s.Restore(t.Context(), "a/b", byTag("v1"), &registry.RestoreOptions{To: two.Digest})
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), setTimes(t, s, "a/b")["v1"], 0)
	})
}

// announce makes a move of the tag v2 to a manifest pending, as a push that dies then.
func announce(t *testing.T, d driver.Driver, s *storage.Store, to ocispec.Descriptor) {
	t.Helper()
	m, err := s.GetManifest(t.Context(), "a/b", byDigest(to.Digest))
	require.NoError(t, err)
	before := contentOf(t, d, "r/a.~b/t/v2")
	for n := 1; contentOf(t, d, "r/a.~b/t/v2") == before; n++ {
		require.Less(t, n, 20)
		cut := drivertest.NewFaulty(d, nil)
		dying := newStore(t, cut, nil)
		cut.CutAfter(n)
		_, _ = dying.PutManifest(t.Context(), "a/b", "", m.Content, tags("v2"))
	}
	require.Contains(t, contentOf(t, d, "r/a.~b/t/v2"), `"next"`)
}

// withoutSet rewrites a record as earlier versions of this package wrote it, without the field set.
func withoutSet(t *testing.T, d driver.Driver, key string) {
	t.Helper()
	content := regexp.MustCompile(`,"set":"[^"]*"`).ReplaceAllString(contentOf(t, d, key), "")
	_, err := d.Put(t.Context(), key, bytes.NewReader([]byte(content)), nil)
	require.NoError(t, err)
}

// onceBefore returns a Store on d that calls f once, right before the first operation op on a key that
// contains in.
func onceBefore(t *testing.T, d driver.Driver, op, in string, f func(s *storage.Store)) *storage.Store {
	var once sync.Once
	return newStore(t, drivertest.NewFaulty(d, &drivertest.FaultyOptions{
		Before: func(_ context.Context, c drivertest.Call) error {
			if c.Op == op && strings.Contains(c.Key, in) {
				once.Do(func() { f(newStore(t, d, withHistory)) })
			}
			return nil
		},
	}), withHistory)
}

// TestTagTimeChosen checks that only a caller of the Store chooses the time of a tag, and that it is
// never in the future.
func TestTagTimeChosen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, newMemory(t), nil)
		old, future := time.Now().Add(-1000*time.Hour), time.Now().Add(time.Hour)
		_, _, content := twoImages(t, s)
		put := func(b registry.Backend, tag string, at time.Time, cond *registry.Condition) {
			t.Helper()
			_, err := b.PutManifest(t.Context(), "a/b", ocispec.MediaTypeImageManifest, content,
				&registry.PutOptions{Tags: []registry.TagPut{{Name: tag, Time: at, If: cond}}})
			require.NoError(t, err)
		}
		put(s, "old", old, nil)
		put(s, "future", future, nil)
		put(s, "condition", old, &registry.Condition{NoneMatch: []digest.Digest{registry.AnyDigest}})
		reg, err := registry.New(s, nil)
		require.NoError(t, err)
		put(reg.Backend(auth.Identity{Name: "eve"}), "caller", old, nil)
		set := setTimes(t, s, "a/b")
		require.True(t, old.Equal(set["old"]))
		require.True(t, old.Equal(set["condition"]))
		require.WithinDuration(t, time.Now(), set["future"], 0)
		require.WithinDuration(t, time.Now(), set["caller"], 0)
	})
}

// TestTagTimeOfOldRecord checks that a record of an earlier version keeps the time of its last write.
func TestTagTimeOfOldRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemory(t)
		s := newStore(t, d, nil)
		_, two, _ := twoImages(t, s, "v2")
		withoutSet(t, d, "r/a.~b/t/v2")
		written := time.Now()
		require.WithinDuration(t, written, setTimes(t, s, "a/b")["v2"], 0)
		time.Sleep(time.Hour)
		announce(t, d, s, two)
		require.WithinDuration(t, written, setTimes(t, s, "a/b")["v2"], 0)
	})
}

// TestTagTimesDiffer checks that the set time grows although the clock of the pushing process is
// behind.
func TestTagTimesDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, newMemory(t), nil)
		_, _, content := twoImages(t, s, "v1")
		first := setTimes(t, s, "a/b")["v1"]
		putImage(t, s, "a/b", content, tags("v1")) // the clock of the bubble has not moved
		require.Equal(t, time.Duration(1), setTimes(t, s, "a/b")["v1"].Sub(first))
	})
}

// TestDeleteNotSetAfter checks that a delete leaves a tag alone that was set again, also while the
// delete runs, and to the same manifest.
func TestDeleteNotSetAfter(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, withHistory)
		one, _, content := twoImages(t, s, "v1")
		seen := setTimes(t, s, "a/b")["v1"]
		opts := &registry.DeleteOptions{NotSetAfter: seen, If: &registry.Condition{Match: []digest.Digest{one.Digest}}}
		require.ErrorIs(t, s.DeleteManifest(t.Context(), "a/b", byDigest(one.Digest), opts), registry.ErrUnsupported)
		require.ErrorIs(t, s.DeleteBlob(t.Context(), "a/b", one.Digest, opts), registry.ErrUnsupported)
		require.ErrorIs(t, s.DeleteRepository(t.Context(), "a/b",
			&registry.DeleteOptions{NotSetAfter: seen}), registry.ErrUnsupported)

		beside := onceBefore(t, d, "Delete", "/t/v1", func(s *storage.Store) {
			_, err := s.PutManifest(context.Background(), "a/b", "", content, tags("v1"))
			require.NoError(t, err)
		})
		require.ErrorIs(t, beside.DeleteManifest(t.Context(), "a/b", byTag("v1"), opts), registry.ErrPreconditionFailed)
		require.ErrorIs(t, s.DeleteManifest(t.Context(), "a/b", byTag("v1"), opts), registry.ErrPreconditionFailed)
		opts.NotSetAfter = setTimes(t, s, "a/b")["v1"]
		require.NoError(t, s.DeleteManifest(t.Context(), "a/b", byTag("v1"), opts))
	})
}
