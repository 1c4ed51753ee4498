package drivertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// versions: a key never gets the same version twice, even after a Delete.
func (s *suite) versions(t *testing.T) {
	d := s.new(t)
	seen := map[string]bool{}
	for i := range 200 {
		content := "the same bytes"
		if s.ContentVersions {
			content = fmt.Sprint(i)
		}
		info := put(t, d, "key", content, &driver.PutOptions{Durability: driver.Durability(i % 3)})
		require.False(t, seen[info.Version], "version %q comes twice", info.Version)
		seen[info.Version] = true
		if i%5 == 4 {
			require.NoError(t, d.Delete(t.Context(), "key", ""))
		}
	}
}

func (s *suite) invalidKeys(t *testing.T) {
	d := s.new(t)
	ctx := t.Context()
	for _, key := range []string{
		"", "/", "a/", "/a", "a//b", ".", "..", "a/.", "a/..", "../a", "a/../b", "a/./b", "a b", "a\x00b", "a\nb", "ä",
		"a\\b", "a%b",
		"a+b", "a^b", "a:b", "a@b", "a*b", "a\xff", strings.Repeat("a", driver.MaxKeyLength+1),
	} {
		_, err := d.Put(ctx, key, strings.NewReader("x"), nil)
		require.ErrorIs(t, err, driver.ErrKey, "put %q", key)
		_, _, err = d.Open(ctx, key, nil)
		require.ErrorIs(t, err, driver.ErrKey, "open %q", key)
		_, err = d.Stat(ctx, key)
		require.ErrorIs(t, err, driver.ErrKey, "stat %q", key)
		require.ErrorIs(t, d.Delete(ctx, key, ""), driver.ErrKey, "delete %q", key)
		require.ErrorIs(t, d.Sync(ctx, key), driver.ErrKey, "sync %q", key)
	}
	require.Empty(t, list(t, d, "", nil))
}

// awkward returns keys that file systems and object stores confuse or reject. No key is a directory
// of another key.
func awkward() []string {
	keys := []string{
		"a/b", "a-b", "a.b", "a.~b", "a~b", "A", "aa", "a0", "a_", "a-", "a.", "aB", "ab", "Ab", "AB", "b", "B", "0", "9",
		"_", "~", "-",
		"...", "..a", ".a", "-a", "~a", "a..b", "x/Upper/y", "x/upper/y", "x/UPPER/y", "x/upper-y", "X/upper/y", "x/Y", "x/y",
		"con", "nul/aux", "z.attrs", "z.tmp", "tmp", "objects/tmp", "locks/0", "z.lock", "z.meta", "z.json", ".nfs0",
		".git/config",
		strings.Repeat("m", driver.MaxKeyLength), strings.Repeat("M", driver.MaxKeyLength),
		strings.Repeat("n/", driver.MaxKeyLength/2-1) + "nn", strings.Repeat("q~", driver.MaxKeyLength/2),
	}
	for _, n := range []int{99, 100, 101, 126, 127, 128, 129, 197, 198, 199, 200, 201, 254, 255, 256, 257, 397, 398, 399,
		400, 600} {
		l := strings.Repeat("l", n)
		keys = append(keys, l, l[1:]+"-", l[1:]+"L", strings.ToUpper(l), "d/"+l, "e/"+l+"/k", "f/"+l+"/k/"+l[:n/3],
			"g/"+l+"-/k", "h/"+l+".", "i/"+l+"/.k")
	}
	keys = slices.DeleteFunc(keys, func(key string) bool { return !driver.ValidKey(key) })
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (s *suite) awkwardKeys(t *testing.T) {
	d := s.new(t)
	keys := awkward()
	for i, key := range keys {
		put(t, d, key, fmt.Sprint(i), &driver.PutOptions{IfAbsent: true, Durability: driver.Relaxed})
	}
	for i, key := range keys {
		requireContent(t, d, key, fmt.Sprint(i))
	}
	requireKeys(t, keys, list(t, d, "", nil))
	requireKeys(t, keys, list(t, d, "", &driver.ListOptions{KeysOnly: true}))
	for i, key := range keys {
		if i%2 == 0 {
			require.NoError(t, d.Delete(t.Context(), key, ""))
		}
	}
	for i, key := range keys {
		_, err := d.Stat(t.Context(), key)
		if i%2 == 0 {
			require.ErrorIs(t, err, driver.ErrNotExist, key)
		} else {
			require.NoError(t, err, key)
		}
	}
}

func (s *suite) sizeHint(t *testing.T) {
	d := s.new(t)
	for _, hint := range []int64{1, 5, 7, 8, 1000, 1 << 62, -1} {
		put(t, d, "key", "content", &driver.PutOptions{Size: hint})
		requireContent(t, d, "key", "content")
		_, err := d.Put(t.Context(), "key", &generator{left: 100_000, chunk: 999}, &driver.PutOptions{Size: hint})
		require.NoError(t, err)
		info, err := d.Stat(t.Context(), "key")
		require.NoError(t, err)
		require.EqualValues(t, 100_000, info.Size)
	}
}

// maxObjectSize: an object can have MaxObjectSize bytes and no more, whatever PutOptions.Size says.
func (s *suite) maxObjectSize(t *testing.T) {
	d := s.new(t)
	ctx := t.Context()
	limit := d.MaxObjectSize()
	if limit == 0 || limit > s.LargeSize {
		require.True(t, limit == 0 || limit >= driver.MinObjectSize)
		t.Skip("the largest object is larger than Options.LargeSize")
	}
	require.GreaterOrEqual(t, limit, int64(driver.MinObjectSize))
	for _, size := range []int64{0, 1, limit, limit + 1} {
		info, err := d.Put(ctx, "full", &generator{left: limit}, &driver.PutOptions{Size: size})
		require.NoError(t, err)
		require.Equal(t, limit, info.Size)
		for key, opts := range map[string]*driver.PutOptions{
			"full": {Size: size, IfVersion: info.Version}, "new": {Size: size, IfAbsent: true}, "other": {Size: size},
		} {
			_, err = d.Put(ctx, key, &generator{left: limit + 1}, opts)
			require.Error(t, err, "one byte more than there can be")
		}
		there, err := d.Stat(ctx, "full")
		require.NoError(t, err)
		require.Equal(t, info.Version, there.Version)
		require.Equal(t, []string{"full"}, list(t, d, "", nil))
		require.NoError(t, d.Delete(ctx, "full", ""))
	}
	require.Equal(t, limit, d.MaxObjectSize())
}

func (s *suite) durabilities(t *testing.T) {
	d := s.new(t)
	for _, durability := range []driver.Durability{driver.Durable, driver.Deferred, driver.Relaxed} {
		key := fmt.Sprintf("d%d/key", durability)
		opts := &driver.PutOptions{Durability: durability}
		first := put(t, d, key, "first", opts)
		requireContent(t, d, key, "first")
		put(t, d, key, "second", &driver.PutOptions{Durability: durability, IfVersion: first.Version})
		requireContent(t, d, key, "second")
		_, err := d.Put(t.Context(), key, strings.NewReader("third"),
			&driver.PutOptions{Durability: durability, IfAbsent: true})
		require.ErrorIs(t, err, driver.ErrExist)
		put(t, d, key, "fourth", opts)
		require.NoError(t, d.Sync(t.Context(), key))
		requireContent(t, d, key, "fourth")
	}
}

func (s *suite) delete(t *testing.T) {
	d := s.new(t)
	put(t, d, "a/b/c/d", "content", nil)
	put(t, d, "a/b/e", "stays", nil)
	require.NoError(t, d.Delete(t.Context(), "a/b/c/d", ""))
	requireAbsent(t, d, "a/b/c/d")
	s.requireNothingToDelete(t, d, "a/b/c/d")
	requireContent(t, d, "a/b/e", "stays")
	put(t, d, "a/b/c/d", "again", &driver.PutOptions{IfAbsent: true})
	requireContent(t, d, "a/b/c/d", "again")
	require.NoError(t, d.Sync(t.Context(), "a/b/c/d", "a/b/e"))
}

// requireNothingToDelete deletes a missing object and checks the error.
func (s *suite) requireNothingToDelete(t *testing.T, d driver.Driver, key string) {
	t.Helper()
	err := d.Delete(t.Context(), key, "")
	if s.BlindDelete {
		require.NoError(t, err)
		return
	}
	require.ErrorIs(t, err, driver.ErrNotExist)
}

func (s *suite) sync(t *testing.T) {
	d := s.new(t)
	ctx := t.Context()
	require.NoError(t, d.Sync(ctx))
	require.NoError(t, d.Sync(ctx, "absent", "no/such/directory/at/all", "absent"))
	var keys []string
	for i := range 50 {
		key := fmt.Sprintf("dir%d/sub/key%d", i%7, i)
		keys = append(keys, key)
		put(t, d, key, key, &driver.PutOptions{Durability: driver.Durability(i % 3)})
	}
	require.NoError(t, d.Sync(ctx, keys...))
	require.NoError(t, d.Sync(ctx, append(keys, "absent", "dir1/sub/absent")...))
	require.NoError(t, d.Delete(ctx, keys[0], ""))
	require.NoError(t, d.Sync(ctx, keys...))
	require.NoError(t, errors.Join(race(20, func(i int) error {
		if _, err := d.Put(ctx, keys[i], strings.NewReader("new"),
			&driver.PutOptions{Durability: driver.Deferred}); err != nil {
			return err
		}
		return d.Sync(ctx, keys[i], keys[i+1])
	})...))
	for _, key := range keys[:20] {
		requireContent(t, d, key, "new")
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, d.Sync(cancelled, keys...), context.Canceled)
}

// bodyError: a Put whose body fails leaves the old object unchanged.
func (s *suite) bodyError(t *testing.T) {
	d := s.new(t)
	failed := errors.New("the body is broken")
	for _, size := range []int{0, 1, 1000, 1 << 20} {
		for _, err := range []error{failed, io.ErrUnexpectedEOF} {
			for _, durability := range []driver.Durability{driver.Durable, driver.Deferred, driver.Relaxed} {
				_, got := d.Put(t.Context(), "dir/new", &brokenBody{size, err}, &driver.PutOptions{Durability: durability})
				require.ErrorIs(t, got, err, "the error of the body is in the error")
				requireAbsent(t, d, "dir/new")
				old := put(t, d, "dir/old", "old", nil)
				_, got = d.Put(t.Context(), "dir/old", &brokenBody{size, err}, &driver.PutOptions{Durability: durability})
				require.ErrorIs(t, got, err)
				content, info := get(t, d, "dir/old")
				require.Equal(t, "old", content)
				require.Equal(t, old.Version, info.Version)
				require.Equal(t, []string{"dir/old"}, list(t, d, "", nil))
			}
		}
	}
}

// cancelled: a Put whose context ends leaves the old object unchanged.
func (s *suite) cancelled(t *testing.T) {
	d := s.new(t)
	old := put(t, d, "old", "old", nil)
	for _, key := range []string{"new", "old"} {
		for _, at := range []int{0, 1, 3} {
			ctx, cancel := context.WithCancel(t.Context())
			if at == 0 {
				cancel()
			}
			_, err := d.Put(ctx, key, &cancelling{cancel: cancel, at: at}, nil)
			require.ErrorIs(t, err, context.Canceled)
			cancel()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, d.Delete(ctx, "old", ""), context.Canceled)
	requireAbsent(t, d, "new")
	content, info := get(t, d, "old")
	require.Equal(t, "old", content)
	require.Equal(t, old.Version, info.Version)
}

// cancelling is a body that cancels the context of its Put in Read number at, and ends three Reads
// later.
type cancelling struct {
	cancel func()
	at, n  int
}

func (c *cancelling) Read(p []byte) (int, error) {
	if c.n++; c.n == c.at {
		c.cancel()
	}
	if c.n > c.at+3 {
		return 0, io.EOF
	}
	return copy(p, "some bytes"), nil
}

// slowBody: while the body of a Put blocks, all other operations proceed, on the same key too.
func (s *suite) slowBody(t *testing.T) {
	d := s.new(t)
	ctx := t.Context()
	put(t, d, "dir/key", "old", nil)
	for _, opts := range []*driver.PutOptions{nil, {Durability: driver.Deferred}} {
		r, w := io.Pipe()
		done := make(chan error, 1)
		go func() {
			_, err := d.Put(ctx, "dir/key", r, opts)
			_ = r.CloseWithError(err)
			done <- err
		}()
		_, err := w.Write(bytes.Repeat([]byte("slow"), 100_000)) // returns when the Put has read everything
		require.NoError(t, err)
		within(t, "other operations during a slow Put", func() error {
			for _, key := range []string{"dir/key", "dir/other", "other"} {
				if _, err := d.Put(ctx, key, strings.NewReader("quick"), nil); err != nil {
					return err
				}
				if got, _, err := fetch(ctx, d, key); err != nil || got != "quick" {
					return fmt.Errorf("%s: %q, %w", key, got, err)
				}
				if _, err := listKeys(ctx, d, "", nil, -1); err != nil {
					return err
				}
				if err := errors.Join(d.Sync(ctx, key), d.Delete(ctx, key, "")); err != nil {
					return err
				}
			}
			return nil
		})
		require.Empty(t, list(t, d, "", nil), "what is being written is not visible")
		require.NoError(t, w.Close())
		within(t, "the end of the slow Put", func() error { return <-done })
		requireContent(t, d, "dir/key", strings.Repeat("slow", 100_000))
	}
}

// wholeOrNothing: concurrent readers see whole objects only, and each Info belongs to the bytes
// that come with it.
func (s *suite) wholeOrNothing(t *testing.T) {
	d := s.new(t)
	ctx := t.Context()
	write := func(i int) error {
		content := strings.Repeat(string(rune('a'+i%26)), 1000*(1+i%26))
		_, err := d.Put(ctx, "key", strings.NewReader(content), &driver.PutOptions{Durability: driver.Relaxed})
		return err
	}
	require.NoError(t, write(0))
	require.NoError(t, errors.Join(race(16, func(i int) error {
		for j := range 40 {
			if i%2 == 0 {
				if err := write(i + j); err != nil {
					return err
				}
				continue
			}
			content, info, err := fetch(ctx, d, "key")
			if err != nil {
				return err
			}
			if c := content[:1]; content != strings.Repeat(c, 1000*int(c[0]-'a'+1)) {
				return fmt.Errorf("a mix of %d bytes that begins with %q, Info %+v", len(content), c, info)
			}
		}
		return nil
	})...))
}
