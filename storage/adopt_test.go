package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// adopting is a driver that takes over bytes: its sources are []byte. The call is a Put of the driver
// below, so that faults and losses of power hit it.
type adopting struct {
	driver.Driver
	// during is called after the bytes are there.
	during func()
}

func (a adopting) Adopt(ctx context.Context, key string, source any, opts *driver.AdoptOptions) (driver.Info,
	driver.Adoption, error) {
	b, ok := source.([]byte)
	if !ok {
		return driver.Info{}, "", errors.ErrUnsupported
	}
	if opts != nil && opts.DryRun {
		return driver.Info{Size: int64(len(b))}, driver.Copied, nil
	}
	info, err := a.Put(ctx, key, bytes.NewReader(b), &driver.PutOptions{IfAbsent: true, Durability: driver.Deferred})
	if err == nil && a.during != nil {
		a.during()
	}
	return info, driver.Copied, err
}

func adopt(t *testing.T, s *storage.Store, repo string, b []byte) (driver.Adoption, error) {
	return s.AdoptBlob(t.Context(), repo, digest.FromBytes(b), int64(len(b)), b, nil)
}

func TestAdoptBlob(t *testing.T) {
	d := newMemory(t)
	s := newStore(t, adopting{Driver: d}, nil)
	b := random(1, 40_000)
	how, err := s.AdoptBlob(t.Context(), "r", digest.FromBytes(b), int64(len(b)), b, &storage.AdoptOptions{DryRun: true})
	require.NoError(t, err)
	require.Equal(t, driver.Copied, how)
	require.Empty(t, keys(t, d, "data/"))
	require.Empty(t, keys(t, d, "r/"))

	how, err = adopt(t, s, "r", b)
	require.NoError(t, err)
	require.Equal(t, driver.Copied, how)
	got, err := readBlob(t.Context(), s, "r", digest.FromBytes(b))
	require.NoError(t, err)
	require.Equal(t, b, got)
	require.Empty(t, keys(t, d, "u/"))
	require.Len(t, keys(t, d, "data/"), 1)

	for _, repo := range []string{"r", "other"} {
		how, err = adopt(t, s, repo, b)
		require.NoError(t, err)
		require.Empty(t, how, "the bytes are shared")
		require.Len(t, keys(t, d, "data/"), 1)
	}
	pushBlob(t, s, "third", b)
	require.Len(t, keys(t, d, "data/"), 1)
}

func TestAdoptBlobRefuses(t *testing.T) {
	d := newMemory(t)
	s := newStore(t, adopting{Driver: d}, nil)
	b := random(1, 40_000)
	dgst := digest.FromBytes(b)
	_, err := s.AdoptBlob(t.Context(), "r", dgst, int64(len(b))+1, b, nil)
	require.ErrorIs(t, err, registry.ErrSizeInvalid)
	_, err = s.AdoptBlob(t.Context(), "r", dgst, int64(len(b)), "text", nil)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	_, err = adopt(t, s, "r", b[:storage.InlineSize])
	require.ErrorIs(t, err, errors.ErrUnsupported)
	_, err = s.AdoptBlob(t.Context(), "../r", dgst, int64(len(b)), b, nil)
	require.ErrorIs(t, err, registry.ErrNameInvalid)
	_, err = adopt(t, newStore(t, d, nil), "r", b)
	require.ErrorIs(t, err, errors.ErrUnsupported, "the driver takes nothing over")
	require.Empty(t, keys(t, d, "data/"))
	require.Empty(t, keys(t, d, "u/"))
	require.Empty(t, keys(t, d, "r/"))
}

// TestAdoptBlobBesideCollection runs a whole collection, without a grace period, when the bytes are
// there and nothing but the record of the upload names them. This fails if AdoptBlob writes the record
// after the bytes.
func TestAdoptBlobBesideCollection(t *testing.T) {
	d := newMemory(t)
	collecting := newStore(t, d, nil)
	s := newStore(t, adopting{Driver: d, during: func() {
		_, err := collecting.Collect(t.Context(), &storage.CollectOptions{Grace: -1, DataGrace: -1})
		require.NoError(t, err)
	}}, nil)
	b := random(1, 40_000)
	_, err := adopt(t, s, "r", b)
	require.NoError(t, err)
	got, err := readBlob(t.Context(), s, "r", digest.FromBytes(b))
	require.NoError(t, err)
	require.Equal(t, b, got)
}

// TestAdoptBlobAfterEachCrash kills the process, or takes its power, after each write. The blob is then
// whole or not there, a second call adds it, and a collection removes what the first one has left.
func TestAdoptBlobAfterEachCrash(t *testing.T) {
	b := random(1, 40_000)
	check := func(t *testing.T, d driver.Driver, acknowledged bool, at string) {
		s := newStore(t, adopting{Driver: d}, nil)
		got, err := readBlob(t.Context(), s, "r", digest.FromBytes(b))
		if err == nil {
			require.Equal(t, b, got, at)
		} else {
			require.ErrorIs(t, err, registry.ErrBlobUnknown, at)
			require.False(t, acknowledged, at)
		}
		_, err = adopt(t, s, "r", b)
		require.NoError(t, err, at)
		got, err = readBlob(t.Context(), s, "r", digest.FromBytes(b))
		require.NoError(t, err, at)
		require.Equal(t, b, got, at)
	}
	for n, done := 0, false; !done; n++ {
		power := drivertest.NewPower(newMemory(t))
		newStore(t, power, nil)
		faulty := drivertest.NewFaulty(power, nil)
		s := newStore(t, adopting{Driver: faulty}, nil)
		faulty.CutAfter(n)
		_, err := adopt(t, s, "r", b)
		done = !faulty.Cut()
		left := newMemory(t)
		for key, b := range power.After() {
			_, err := left.Put(t.Context(), key, bytes.NewReader(b), nil)
			require.NoError(t, err)
		}
		check(t, left, err == nil, fmt.Sprintf("power lost after write %d", n))
		check(t, power.Driver, err == nil, fmt.Sprintf("killed after write %d", n))
	}
}

// TestAdoptBlobFailureAtEachWrite lets each write fail, or lose its response.
func TestAdoptBlobFailureAtEachWrite(t *testing.T) {
	b := random(1, 40_000)
	for name, fail := range map[string]func(f *drivertest.Faulty, n int){
		"not done":      (*drivertest.Faulty).FailWrite,
		"response lost": (*drivertest.Faulty).LoseResponse,
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n++ {
				d := newMemory(t)
				newStore(t, d, nil)
				faulty := drivertest.NewFaulty(d, nil)
				s := newStore(t, adopting{Driver: faulty}, nil)
				before := faulty.Writes()
				fail(faulty, n)
				_, err := adopt(t, s, "r", b)
				if err == nil && faulty.Writes()-before < n {
					return
				}
				_, err = adopt(t, s, "r", b)
				require.NoError(t, err, "write %d", n)
				got, err := readBlob(t.Context(), s, "r", digest.FromBytes(b))
				require.NoError(t, err, "write %d", n)
				require.Equal(t, b, got)
			}
		})
	}
}
