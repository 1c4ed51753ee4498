package storage_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage/driver"
)

// fetches is a driver that fetches an opened object whether or not it is read, as a bucket does.
// It counts the bytes.
type fetches struct {
	driver.Driver
	bytes atomic.Int64
}

func (d *fetches) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info,
	error) {
	r, info, err := d.Driver.Open(ctx, key, opts)
	if err == nil {
		n := info.Size
		if opts != nil {
			if n -= opts.Offset; opts.Length > 0 {
				n = min(n, opts.Length)
			}
		}
		d.bytes.Add(n)
	}
	return r, info, err
}

// TestRangesFetchLittle checks that a request for many ranges of a blob fetches little more than
// those ranges from a bucket.
func TestRangesFetchLittle(t *testing.T) {
	d := &fetches{Driver: newMemory(t)}
	store := newStore(t, d, nil)
	reg, err := registry.New(store, nil)
	require.NoError(t, err)
	server := httptest.NewServer(reg)
	defer server.Close()
	content := registrytest.RandomBytes(1, 10<<20)
	_, err = registry.PushBlob(t.Context(), store, "a", digest.FromBytes(content), strings.NewReader(string(content)))
	require.NoError(t, err)
	for _, n := range []int{1, 2, 200} {
		var header strings.Builder
		for i := range n {
			fmt.Fprintf(&header, ",%d-%d", i*50_000, i*50_000+99)
		}
		d.bytes.Store(0)
		req, err := http.NewRequest("GET", server.URL+"/v2/a/blobs/"+string(digest.FromBytes(content)), nil)
		require.NoError(t, err)
		req.Header.Set("Range", "bytes="+header.String()[1:])
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, 206, resp.StatusCode)
		require.Contains(t, string(body), string(content[(n-1)*50_000:(n-1)*50_000+100]))
		require.Less(t, d.bytes.Load(), int64(n*100+10_000), "%d ranges", n)
	}
	http.DefaultClient.CloseIdleConnections()
}
