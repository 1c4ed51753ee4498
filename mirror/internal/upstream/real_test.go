package upstream_test

import (
	"bytes"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/mirror/internal/upstream"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// TestThisRegistry: a registry of this module is an upstream.
func TestThisRegistry(t *testing.T) {
	ctx := t.Context()
	store, err := storage.New(ctx, memory.New(nil), nil)
	require.NoError(t, err)
	reg, err := registry.New(store, nil)
	require.NoError(t, err)
	server := httptest.NewServer(reg)
	t.Cleanup(server.Close)
	u := newUpstream(t, func(o *upstream.Options) { o.URLs = []string{server.URL} })

	layer := content(100_000, 1)
	push := func(b []byte) digest.Digest {
		desc, err := registry.PushBlob(ctx, store, "a/b", "", bytes.NewReader(b))
		require.NoError(t, err)
		return desc.Digest
	}
	d, empty := push(layer), push([]byte("{}"))
	put := func(tag, subject string) digest.Digest {
		text := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `","artifactType":"a/b",` +
			`"config":{"mediaType":"` + ocispec.MediaTypeEmptyJSON + `","digest":"` + empty.String() + `","size":2},` +
			`"layers":[]` + subject + `}`)
		var o registry.PutOptions
		if tag != "" {
			o.Tags = []registry.TagPut{{Name: tag}}
		}
		_, err := store.PutManifest(ctx, "a/b", ocispec.MediaTypeImageManifest, text, &o)
		require.NoError(t, err)
		return digest.FromBytes(text)
	}
	image := put("1", "")
	put("2", "")
	referrer := put("", `,"subject":{"mediaType":"`+ocispec.MediaTypeImageManifest+`","digest":"`+image.String()+
		`","size":1}`)

	m, err := u.GetManifest(ctx, "a/b", ref("1"))
	require.NoError(t, err)
	require.Equal(t, image, m.Descriptor.Digest)
	tags, more, err := u.Tags(ctx, "a/b", "", 1)
	require.NoError(t, err)
	require.Equal(t, []string{"1"}, tags)
	require.True(t, more)
	tags, more, err = u.Tags(ctx, "a/b", "1", 1)
	require.NoError(t, err)
	require.Equal(t, []string{"2"}, tags)
	require.False(t, more)
	referrers, err := u.Referrers(ctx, "a/b", image)
	require.NoError(t, err)
	require.Len(t, referrers, 1)
	require.Equal(t, referrer, referrers[0].Digest)
	res, b, err := fetch(ctx, u, "a/b", d, 0, "")
	require.NoError(t, err)
	same(t, layer, b)
	require.NotEmpty(t, res.ETag)
	got, b, err := fetch(ctx, u, "a/b", d, 60_000, res.ETag)
	require.NoError(t, err)
	require.Equal(t, int64(60_000), got.Offset)
	same(t, layer[60_000:], b)
	part, err := u.Blobs("a/b").FetchRange(ctx, d, 5, 10)
	require.NoError(t, err)
	b, err = io.ReadAll(part.Body)
	require.NoError(t, err)
	require.NoError(t, part.Body.Close())
	same(t, layer[5:15], b)
	require.ErrorIs(t, stat(ctx, u, "a/b", "3"), registry.ErrManifestUnknown)
	require.Empty(t, u.Stats().Errors)
}

// TestHalfDeadSocket: the same as TestHalfDead over real sockets, with the default transport.
func TestHalfDeadSocket(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var accepted atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		var all []net.Conn
		for {
			c, err := listener.Accept()
			if err != nil {
				break
			}
			accepted.Add(1)
			all = append(all, c) // nothing is ever read or sent
		}
		for _, c := range all {
			_ = c.Close()
		}
	}()
	defer func() { require.NoError(t, listener.Close()); <-done }()
	u := newUpstream(t, func(o *upstream.Options) {
		o.URLs = []string{"http://" + listener.Addr().String()}
		o.Timeout = 300 * time.Millisecond
		o.Rest = time.Hour
	})
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() { unavailable(t, stat(t.Context(), u, "r", "1")) })
	}
	wg.Wait()
	require.Equal(t, map[string]int64{"timeout": 1}, u.Stats().Errors)
	n := accepted.Load()
	for range 30 {
		unavailable(t, stat(t.Context(), u, "r", "1"))
	}
	require.Equal(t, n, accepted.Load())
	require.True(t, u.Stats().Down)
}
