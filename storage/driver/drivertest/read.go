package drivertest

import (
	"context"
	"crypto/sha256"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

func (s *suite) readAfterWrite(t *testing.T) {
	d := s.new(t)
	start := time.Now()
	for _, content := range []string{"one", "another, longer", "", "x", strings.Repeat("0123456789", 1000)} {
		want := put(t, d, "dir/key", content, nil)
		got, info := get(t, d, "dir/key")
		require.Equal(t, content, got)
		require.Equal(t, want.Version, info.Version)
		// The clock of the storage may differ from the clock of this machine. A day is enough to
		// detect a wrong time.
		require.WithinDuration(t, start, info.ModTime, 24*time.Hour)
	}
	require.Equal(t, []string{"dir/key"}, list(t, d, "", nil))
}

func (s *suite) missing(t *testing.T) {
	d := s.new(t)
	requireAbsent(t, d, "nothing")
	requireAbsent(t, d, "no/such/directory")
	put(t, d, "a/b", "content", nil)
	for _, key := range []string{"a", "a/c", "A/b", "a/B", "a/bb", "aa"} {
		requireAbsent(t, d, key)
	}
	s.requireNothingToDelete(t, d, "a")
	s.requireNothingToDelete(t, d, "x/y/z")
	requireContent(t, d, "a/b", "content")
}

func (s *suite) ranges(t *testing.T) {
	d := s.new(t)
	const content = "0123456789"
	want := put(t, d, "key", content, nil)
	for _, c := range []struct {
		offset, length int64
		want           string
	}{
		{0, 0, content}, {0, 4, "0123"}, {3, 0, "3456789"}, {3, 4, "3456"}, {9, 1, "9"}, {9, 100, "9"},
		{0, 10, content}, {0, 11, content}, {10, 0, ""}, {10, 5, ""}, {11, 0, ""}, {1 << 40, 1, ""}, {1 << 40, 0, ""},
	} {
		r, info, err := d.Open(t.Context(), "key", &driver.OpenOptions{Offset: c.offset, Length: c.length})
		require.NoError(t, err, "%+v", c)
		require.Equal(t, want.Version, info.Version)
		require.EqualValues(t, len(content), info.Size, "the Info is of the whole object")
		limit := c.length // the caller reads at most this many bytes
		if limit == 0 {
			limit = 1 << 50
		}
		got, err := io.ReadAll(io.LimitReader(r, limit))
		require.NoError(t, err)
		require.NoError(t, r.Close())
		require.Equal(t, c.want, string(got), "%+v", c)
	}
}

func (s *suite) ifNotVersion(t *testing.T) {
	d := s.new(t)
	first := put(t, d, "key", "first", nil)
	open := func(version string) (string, driver.Info, error) {
		r, info, err := d.Open(t.Context(), "key", &driver.OpenOptions{IfNotVersion: version})
		if err != nil {
			return "", info, err
		}
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		return string(content), info, r.Close()
	}
	_, info, err := open(first.Version)
	require.ErrorIs(t, err, driver.ErrNotModified)
	require.Equal(t, first.Version, info.Version, "ErrNotModified comes with the version")
	require.Equal(t, "key", info.Key)

	second := put(t, d, "key", "second", nil)
	content, info, err := open(first.Version)
	require.NoError(t, err)
	require.Equal(t, "second", content)
	require.Equal(t, second.Version, info.Version)

	require.NoError(t, d.Delete(t.Context(), "key", ""))
	_, _, err = open(second.Version)
	require.ErrorIs(t, err, driver.ErrNotExist)
}

func (s *suite) empty(t *testing.T) {
	d := s.new(t)
	info, err := d.Put(t.Context(), "nil", nil, nil)
	require.NoError(t, err)
	require.Zero(t, info.Size)
	put(t, d, "empty", "", nil)
	for _, key := range []string{"nil", "empty"} {
		requireContent(t, d, key, "")
		info, err := d.Stat(t.Context(), key)
		require.NoError(t, err)
		require.Zero(t, info.Size)
	}
	require.Equal(t, []string{"empty", "nil"}, list(t, d, "", nil))
	put(t, d, "empty", "no more", nil)
	requireContent(t, d, "empty", "no more")
}

func (s *suite) large(t *testing.T) {
	d := s.new(t)
	size := s.LargeSize
	if limit := d.MaxObjectSize(); limit > 0 {
		size = min(size, limit)
	}
	want := sha256.New()
	body := io.TeeReader(&generator{seed: 1, left: size}, want)
	info, err := d.Put(t.Context(), "large", body, &driver.PutOptions{Size: size})
	require.NoError(t, err)
	require.Equal(t, size, info.Size)

	r, info, err := d.Open(t.Context(), "large", nil)
	require.NoError(t, err)
	require.Equal(t, size, info.Size)
	got := sha256.New()
	n, err := io.Copy(got, r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.Equal(t, size, n)
	require.Equal(t, want.Sum(nil), got.Sum(nil))
}

func (s *suite) openReader(t *testing.T) {
	d := s.new(t)
	const size = 4 << 20
	content := func(seed uint64) string {
		b, err := io.ReadAll(&generator{seed: seed, left: size})
		require.NoError(t, err)
		return string(b)
	}
	for _, c := range []struct {
		name   string
		change func(key string)
	}{
		{"replaced", func(key string) { put(t, d, key, content(2), nil) }},
		{"deleted", func(key string) { require.NoError(t, d.Delete(t.Context(), key, "")) }},
		{"deleted and made again", func(key string) {
			require.NoError(t, d.Delete(t.Context(), key, ""))
			put(t, d, key, content(3), nil)
		}},
	} {
		key := "dir/" + strings.ReplaceAll(c.name, " ", "-")
		put(t, d, key, content(1), nil)
		r, _, err := d.Open(t.Context(), key, nil)
		require.NoError(t, err)
		head := make([]byte, 1000)
		_, err = io.ReadFull(r, head)
		require.NoError(t, err)
		c.change(key)
		rest, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		require.True(t, content(1) == string(head)+string(rest), "an open reader of an object that is %s", c.name)
	}
}

// infoAgrees: every operation returns the same Info of an object.
func (s *suite) infoAgrees(t *testing.T) {
	d := s.new(t)
	want := put(t, d, "a/key", "content", nil)
	stat, err := d.Stat(t.Context(), "a/key")
	require.NoError(t, err)
	_, opened := get(t, d, "a/key")
	infos := []driver.Info{stat, opened}
	for _, opts := range []*driver.ListOptions{nil, {}, {PageHint: 1}, {After: "a/"}} {
		for info, err := range d.List(t.Context(), "a/", opts) {
			require.NoError(t, err)
			infos = append(infos, info)
		}
	}
	require.Len(t, infos, 6)
	for _, info := range infos {
		require.Equal(t, want.Key, info.Key)
		require.Equal(t, want.Size, info.Size)
		require.Equal(t, want.Version, info.Version)
		if !want.ModTime.IsZero() { // Put may leave it zero
			require.True(t, want.ModTime.Equal(info.ModTime), "%v and %v", want.ModTime, info.ModTime)
		}
		require.True(t, infos[0].ModTime.Equal(info.ModTime), "%v and %v", infos[0].ModTime, info.ModTime)
	}
}

func (s *suite) listCancelled(t *testing.T) {
	d := s.new(t)
	for _, key := range []string{"a", "b", "c"} {
		put(t, d, key, key, nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := listKeys(ctx, d, "", nil, -1)
	require.ErrorIs(t, err, context.Canceled)
	_, err = d.Stat(ctx, "a")
	require.ErrorIs(t, err, context.Canceled)
	_, _, err = d.Open(ctx, "a", nil)
	require.ErrorIs(t, err, context.Canceled)
}
