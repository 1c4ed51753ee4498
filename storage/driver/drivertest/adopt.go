package drivertest

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// adopt tests driver.Adopter.
func (s *suite) adopt(t *testing.T) {
	if s.Source == nil {
		t.Skip("no Options.Source")
	}
	d := s.new(t)
	adopter, ok := d.(driver.Adopter)
	require.True(t, ok, "the driver takes nothing over, but Options.Source is set")
	const content = "bytes that are there already"
	source, remove := s.Source(t, d, []byte(content))

	_, _, err := adopter.Adopt(t.Context(), "data/key", struct{}{}, nil)
	require.ErrorIs(t, err, errors.ErrUnsupported, "a source of another type")
	_, _, err = adopter.Adopt(t.Context(), "../key", source, nil)
	require.ErrorIs(t, err, driver.ErrKey)

	info, how, err := adopter.Adopt(t.Context(), "data/key", source, &driver.AdoptOptions{DryRun: true})
	require.NoError(t, err)
	require.NotEmpty(t, how)
	require.EqualValues(t, len(content), info.Size)
	requireAbsent(t, d, "data/key")

	info, again, err := adopter.Adopt(t.Context(), "data/key", source, nil)
	require.NoError(t, err)
	require.Equal(t, how, again)
	require.Equal(t, "data/key", info.Key)
	require.EqualValues(t, len(content), info.Size)
	got, now := get(t, d, "data/key")
	require.Equal(t, content, got)
	require.Equal(t, info.Version, now.Version)
	require.Equal(t, []string{"data/key"}, list(t, d, "", nil))
	require.NoError(t, d.Sync(t.Context(), "data/key"))

	_, _, err = adopter.Adopt(t.Context(), "data/key", source, nil)
	require.ErrorIs(t, err, driver.ErrExist)
	put(t, d, "data/put", "other", nil)
	_, _, err = adopter.Adopt(t.Context(), "data/put", source, nil)
	require.ErrorIs(t, err, driver.ErrExist)
	requireContent(t, d, "data/put", "other")

	_, _, err = adopter.Adopt(t.Context(), "data/second", source, nil)
	require.NoError(t, err)
	require.NoError(t, d.Sync(t.Context(), "data/second"))
	require.NoError(t, d.Delete(t.Context(), "data/second", ""))
	requireAbsent(t, d, "data/second")
	requireContent(t, d, "data/key", content)
	if _, how, err = adopter.Adopt(t.Context(), "data/copy", source, &driver.AdoptOptions{NoLink: true}); err != nil {
		require.ErrorIs(t, err, errors.ErrUnsupported)
		requireAbsent(t, d, "data/copy")
	} else {
		require.NotEqual(t, driver.Linked, how)
		requireContent(t, d, "data/copy", content)
	}

	remove()
	requireContent(t, d, "data/key", content)
	require.NoError(t, d.Sync(t.Context(), "data/key"))
	require.NoError(t, d.Delete(t.Context(), "data/key", ""))
	requireAbsent(t, d, "data/key")
}
