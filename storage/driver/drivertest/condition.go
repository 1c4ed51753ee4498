package drivertest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

func (s *suite) putIfAbsent(t *testing.T) {
	d := s.new(t)
	absent := &driver.PutOptions{IfAbsent: true}
	put(t, d, "a/key", "first", absent)
	_, err := d.Put(t.Context(), "a/key", strings.NewReader("second"), absent)
	require.ErrorIs(t, err, driver.ErrExist)
	require.NotErrorIs(t, err, driver.ErrChanged)
	requireContent(t, d, "a/key", "first")
	put(t, d, "a/kez", "neighbour", absent)
	require.NoError(t, d.Delete(t.Context(), "a/key", ""))
	put(t, d, "a/key", "third", absent)
	requireContent(t, d, "a/key", "third")

	// The driver must check the condition when it stores the object, not when the Put begins.
	require.NoError(t, d.Delete(t.Context(), "a/key", ""))
	_, err = d.Put(t.Context(), "a/key", &meddling{do: func() { put(t, d, "a/key", "meddler", nil) }}, absent)
	require.ErrorIs(t, err, driver.ErrExist)
	requireContent(t, d, "a/key", "meddler")
}

// meddling is a body whose first Read calls do.
type meddling struct {
	do func()
	strings.Reader
}

func (m *meddling) Read(p []byte) (int, error) {
	if m.do != nil {
		m.do()
		m.do = nil
		m.Reset("body")
	}
	return m.Reader.Read(p)
}

func (s *suite) putIfVersion(t *testing.T) {
	d := s.new(t)
	try := func(version string) error {
		_, err := d.Put(t.Context(), "key", strings.NewReader("new "+version), &driver.PutOptions{IfVersion: version})
		return err
	}
	require.ErrorIs(t, try("some-version"), driver.ErrChanged, "a missing object has changed")
	requireAbsent(t, d, "key")
	first := put(t, d, "key", "first", nil)
	second := put(t, d, "key", "second", &driver.PutOptions{IfVersion: first.Version})
	require.NotEqual(t, first.Version, second.Version)
	require.ErrorIs(t, try(first.Version), driver.ErrChanged)
	require.ErrorIs(t, try("some-version"), driver.ErrChanged)
	requireContent(t, d, "key", "second")

	meddler := &meddling{do: func() { put(t, d, "key", "meddler", nil) }}
	_, err := d.Put(t.Context(), "key", meddler, &driver.PutOptions{IfVersion: second.Version})
	require.ErrorIs(t, err, driver.ErrChanged)
	requireContent(t, d, "key", "meddler")

	_, info := get(t, d, "key")
	require.NoError(t, d.Delete(t.Context(), "key", ""))
	require.ErrorIs(t, try(info.Version), driver.ErrChanged, "a missing object has changed")
	requireAbsent(t, d, "key")
}

func (s *suite) deleteIfVersion(t *testing.T) {
	d := s.new(t)
	first := put(t, d, "key", "first", nil)
	second := put(t, d, "key", "second", nil)
	require.ErrorIs(t, d.Delete(t.Context(), "key", first.Version), driver.ErrChanged)
	requireContent(t, d, "key", "second")
	require.NoError(t, d.Delete(t.Context(), "key", second.Version))
	requireAbsent(t, d, "key")
	err := d.Delete(t.Context(), "key", second.Version)
	require.True(t, errors.Is(err, driver.ErrNotExist) || errors.Is(err, driver.ErrChanged), "got %v", err)
}

// outcome requires that exactly one contender of a race has no error, and returns its index. The
// error of every other contender must be one of lost.
func outcome(t *testing.T, errs []error, lost ...error) int {
	t.Helper()
	winner := -1
	for i, err := range errs {
		if err == nil {
			require.Equal(t, -1, winner, "two win")
			winner = i
			continue
		}
		ok := false
		for _, l := range lost {
			ok = ok || errors.Is(err, l)
		}
		require.True(t, ok, "got %v", err)
	}
	require.NotEqual(t, -1, winner, "nobody wins")
	return winner
}

// raceOver races conditional Puts of different bytes through ds, which share their storage. The
// bytes also differ from those of earlier races. Where a version is a hash of the content, the same
// bytes would leave the version unchanged.
func (s *suite) raceOver(t *testing.T, ds []driver.Driver, key string, opts *driver.PutOptions, lost error) {
	t.Helper()
	by := func(i int) string { return fmt.Sprintf("by %d over %q", i, opts.IfVersion) }
	errs := race(s.Goroutines, func(i int) error {
		_, err := ds[i%len(ds)].Put(t.Context(), key, strings.NewReader(by(i)), opts)
		return err
	})
	winner := outcome(t, errs, lost)
	for _, d := range ds {
		requireContent(t, d, key, by(winner))
	}
}

func (s *suite) raceIfAbsent(t *testing.T) {
	d := s.new(t)
	for round := range 10 {
		s.raceOver(t, []driver.Driver{d}, fmt.Sprintf("r%d/x/key", round), &driver.PutOptions{IfAbsent: true},
			driver.ErrExist)
	}
}

func (s *suite) raceIfVersion(t *testing.T) {
	d := s.new(t)
	for round := range 10 {
		info := put(t, d, "key", fmt.Sprint("round ", round), nil)
		s.raceOver(t, []driver.Driver{d}, "key", &driver.PutOptions{IfVersion: info.Version}, driver.ErrChanged)
	}
}

func (s *suite) counter(t *testing.T) {
	d := s.new(t)
	count(t, []driver.Driver{d}, 16, 20)
}

// count increments a counter by compare-and-swap in goroutines that share the drivers. It requires
// the right sum.
func count(t *testing.T, ds []driver.Driver, goroutines, increments int) {
	t.Helper()
	put(t, ds[0], "counter", "0", nil)
	require.NoError(t, errors.Join(race(goroutines, func(i int) error {
		for range increments {
			if err := increment(t.Context(), ds[i%len(ds)], "counter"); err != nil {
				return err
			}
		}
		return nil
	})...))
	requireContent(t, ds[0], "counter", strconv.Itoa(goroutines*increments))
}

func increment(ctx context.Context, d driver.Driver, key string) error {
	for {
		content, info, err := fetch(ctx, d, key)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(content)
		if err != nil {
			return err
		}
		opts := &driver.PutOptions{IfVersion: info.Version, Durability: driver.Relaxed}
		if _, err = d.Put(ctx, key, strings.NewReader(strconv.Itoa(n+1)), opts); err == nil ||
			!errors.Is(err, driver.ErrChanged) {
			return err
		}
	}
}
