package drivertest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// again returns another driver on the storage of d, or skips the test.
func (s *suite) again(t *testing.T, d driver.Driver) driver.Driver {
	t.Helper()
	if s.Reopen == nil {
		t.Skip("Options.Reopen is not given")
	}
	return s.Reopen(t, d)
}

// reopen: contents and versions are the same in another driver on the same storage.
func (s *suite) reopen(t *testing.T) {
	d := s.new(t)
	keys := awkward()
	fill(t, d, keys)
	replaced := put(t, d, "replaced/key", "old", nil)
	infos := map[string]driver.Info{}
	for info, err := range d.List(t.Context(), "", nil) {
		require.NoError(t, err)
		infos[info.Key] = info
	}
	again := s.again(t, d)
	n := 0
	for info, err := range again.List(t.Context(), "", nil) {
		require.NoError(t, err)
		require.Equal(t, infos[info.Key].Version, info.Version)
		n++
	}
	require.Equal(t, len(infos), n)
	requireContent(t, again, "replaced/key", "old")
	require.NoError(t, again.Sync(t.Context(), keys...))
	put(t, again, "replaced/key", "new", &driver.PutOptions{IfVersion: replaced.Version})
}

// twoInstances: two drivers on the same storage see each other's writes at once, and conditions
// hold between them.
func (s *suite) twoInstances(t *testing.T) {
	a := s.new(t)
	ds := []driver.Driver{a, s.again(t, a)}
	want := []string{}
	for i := range 400 { // enough to make any cache of lists worthwhile
		key := fmt.Sprintf("dir/%04d", i)
		put(t, ds[0], key, key, &driver.PutOptions{Durability: driver.Relaxed})
		want = append(want, key)
	}
	for i := range 60 {
		mine, other := ds[i%2], ds[1-i%2]
		requireKeys(t, want, list(t, other, "dir/", &driver.ListOptions{KeysOnly: true}))
		key := fmt.Sprintf("dir/%04d", 400+i)
		info := put(t, mine, key, "first", &driver.PutOptions{IfAbsent: true, Durability: driver.Relaxed})
		want = append(want, key)
		requireKeys(t, want, list(t, other, "dir/", nil))
		requireContent(t, other, key, "first")
		put(t, other, key, "second", &driver.PutOptions{IfVersion: info.Version, Durability: driver.Relaxed})
		requireContent(t, mine, key, "second")
		_, err := mine.Put(t.Context(), key, nil, &driver.PutOptions{IfVersion: info.Version})
		require.ErrorIs(t, err, driver.ErrChanged)
		if i%3 == 0 {
			require.NoError(t, other.Delete(t.Context(), key, ""))
			want = want[:len(want)-1]
			requireAbsent(t, mine, key)
		}
		require.NoError(t, mine.Sync(t.Context(), key))
	}
	for round := range 10 {
		s.raceOver(t, ds, fmt.Sprintf("race/%d/key", round), &driver.PutOptions{IfAbsent: true}, driver.ErrExist)
		info, err := ds[0].Stat(t.Context(), fmt.Sprintf("race/%d/key", round))
		require.NoError(t, err)
		s.raceOver(t, ds, info.Key, &driver.PutOptions{IfVersion: info.Version}, driver.ErrChanged)
	}
	count(t, ds, 16, 15)
}
