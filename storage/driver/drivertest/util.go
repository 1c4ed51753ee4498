package drivertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// patience is how long the suite waits for an operation that must not block.
const patience = 30 * time.Second

// put stores content, checks the returned Info and returns it.
func put(t *testing.T, d driver.Driver, key, content string, opts *driver.PutOptions) driver.Info {
	t.Helper()
	info, err := d.Put(t.Context(), key, bytes.NewReader([]byte(content)), opts)
	require.NoError(t, err, "put %s", key)
	require.Equal(t, key, info.Key)
	require.Equal(t, int64(len(content)), info.Size)
	require.NotEmpty(t, info.Version)
	require.LessOrEqual(t, len(info.Version), 200)
	require.NotContains(t, info.Version, "\n")
	return info
}

// get returns the content and the Info of an object, which must exist.
func get(t *testing.T, d driver.Driver, key string) (string, driver.Info) {
	t.Helper()
	content, info, err := fetch(t.Context(), d, key)
	require.NoError(t, err, "open %s", key)
	return content, info
}

// fetch is like get, but returns errors, so that other goroutines can call it.
func fetch(ctx context.Context, d driver.Driver, key string) (string, driver.Info, error) {
	r, info, err := d.Open(ctx, key, nil)
	if err != nil {
		return "", info, err
	}
	content, err := io.ReadAll(r)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err == nil && int64(len(content)) != info.Size {
		err = fmt.Errorf("%s: %d bytes of an object of %d", key, len(content), info.Size)
	}
	return string(content), info, err
}

// requireContent requires that key holds content.
func requireContent(t *testing.T, d driver.Driver, key, content string) {
	t.Helper()
	got, _ := get(t, d, key)
	require.Equal(t, content, got, "content of %s", key)
}

// requireAbsent requires that no operation finds key.
func requireAbsent(t *testing.T, d driver.Driver, key string) {
	t.Helper()
	_, err := d.Stat(t.Context(), key)
	require.ErrorIs(t, err, driver.ErrNotExist, "stat %s", key)
	_, _, err = d.Open(t.Context(), key, nil)
	require.ErrorIs(t, err, driver.ErrNotExist, "open %s", key)
	require.NotContains(t, list(t, d, "", nil), key)
}

// list returns the keys that a List yields, and requires that they are in order.
func list(t *testing.T, d driver.Driver, prefix string, opts *driver.ListOptions) []string {
	t.Helper()
	keys, err := listKeys(t.Context(), d, prefix, opts, -1)
	require.NoError(t, err, "list %q", prefix)
	return keys
}

// listKeys returns up to limit keys of a List; -1 means all. It returns an error if keys are out of
// order.
func listKeys(ctx context.Context, d driver.Driver, prefix string, opts *driver.ListOptions, limit int) ([]string,
	error) {
	keys := []string{}
	for info, err := range d.List(ctx, prefix, opts) {
		if err != nil {
			return keys, err
		}
		if n := len(keys); n > 0 && keys[n-1] >= info.Key {
			return keys, fmt.Errorf("list %q yields %q after %q", prefix, info.Key, keys[n-1])
		}
		if keys = append(keys, info.Key); len(keys) == limit {
			break
		}
	}
	return keys, nil
}

// race runs f in n goroutines that begin together and returns the error of each.
func race(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// within runs f, which must return before patience ends.
func within(t *testing.T, what string, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		require.NoError(t, err, what)
	case <-time.After(patience):
		require.FailNow(t, "blocked", what)
	}
}

// generator is a body of pseudo-random bytes, which are the same for the same seed.
type generator struct {
	seed  uint64
	left  int64
	chunk int // the maximum of bytes per Read, if not 0
}

func (g *generator) Read(p []byte) (int, error) {
	if g.left == 0 {
		return 0, io.EOF
	}
	if g.chunk > 0 && len(p) > g.chunk {
		p = p[:g.chunk]
	}
	if int64(len(p)) > g.left {
		p = p[:g.left]
	}
	for i := range p {
		// Each byte is one step, so the content does not depend on the sizes of the reads.
		g.seed = g.seed*6364136223846793005 + 1442695040888963407
		p[i] = byte(g.seed >> 56)
	}
	g.left -= int64(len(p))
	return len(p), nil
}

// brokenBody yields some bytes and then an error.
type brokenBody struct {
	left int
	err  error
}

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, b.err
	}
	n := min(len(p), b.left)
	for i := range p[:n] {
		p[i] = 'x'
	}
	b.left -= n
	return n, nil
}

// requireKeys requires two lists of keys to be equal and reports the first difference.
func requireKeys(t *testing.T, want, got []string, what ...any) {
	t.Helper()
	i := 0
	for i < len(want) && i < len(got) && want[i] == got[i] {
		i++
	}
	if i == len(want) && i == len(got) {
		return
	}
	head := func(keys []string) []string { return keys[i:min(i+3, len(keys))] }
	require.Failf(t, "wrong list", "%s: %d keys instead of %d; from number %d on: %q instead of %q",
		sprint(what), len(got), len(want), i, head(got), head(want))
}

func sprint(format []any) string {
	if len(format) == 0 {
		return "list"
	}
	return fmt.Sprintf(format[0].(string), format[1:]...)
}
