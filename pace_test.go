package registry_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// pacedHost serves a blob of 3 MiB with small buffers, from a file or from memory.
func pacedHost(t *testing.T, kind string, opts *registry.Options) (host, path string) {
	var d driver.Driver
	var err error
	if kind == "disk" {
		d, err = disk.New(t.TempDir(), nil)
	} else {
		d = memory.New(nil)
	}
	require.NoError(t, err)
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	reg, err := registry.New(store, opts)
	require.NoError(t, err)
	host = serveSmall(t, reg)
	return host, "/v2/a/blobs/" + string(newClient(t, "http://"+host).pushBlob("a", registrytest.RandomBytes(1, 3<<20)))
}

// TestSteadySlowReader: a client that reads slowly, but faster than Options.MinRate, gets its blob.
// This holds although each MiB takes much longer than Options.BodyTimeout.
func TestSteadySlowReader(t *testing.T) {
	for _, kind := range []string{"disk", "memory"} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprint(kind, " HTTP/2: ", http2), func(t *testing.T) {
				t.Parallel()
				host, path := pacedHost(t, kind, &registry.Options{BodyTimeout: 300 * time.Millisecond, MinRate: 8 << 10})
				tr := &http.Transport{Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 16 << 10}}
				tr.Protocols.SetUnencryptedHTTP2(http2)
				tr.Protocols.SetHTTP1(!http2)
				t.Cleanup(tr.CloseIdleConnections)
				res, err := (&http.Client{Transport: tr}).Get("http://" + host + path)
				require.NoError(t, err)
				defer res.Body.Close()
				for n := int64(0); n < 3<<20; {
					m, err := io.CopyN(io.Discard, res.Body, 64<<10)
					n += m
					require.NoError(t, err, "after %d bytes", n)
					time.Sleep(60 * time.Millisecond)
				}
			})
		}
	}
}

// TestReaderBelowMinRate: if a client reads only a little from time to time, its response is cut
// off.
func TestReaderBelowMinRate(t *testing.T) {
	for _, kind := range []string{"disk", "memory"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			host, path := pacedHost(t, kind, &registry.Options{BodyTimeout: time.Second, MinRate: 1 << 30})
			conn := dialSmall(t, host)
			_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
			require.NoError(t, err)
			n := int64(0)
			for err == nil {
				var m int64
				m, err = io.CopyN(io.Discard, conn, 4<<10)
				n += m
				time.Sleep(100 * time.Millisecond)
			}
			require.False(t, os.IsTimeout(err), "the connection stays open")
			require.Less(t, n, int64(3<<20))
		})
	}
}

// TestBodyBelowMinRate: a body that arrives in single bytes is refused, although it makes progress
// within each Options.BodyTimeout.
func TestBodyBelowMinRate(t *testing.T) {
	s, c := newRegistry(t, &registry.Options{BodyTimeout: 500 * time.Millisecond, MinRate: 1 << 20})
	for _, request := range []string{patch(c.startUpload("a"), 1<<20),
		"PUT /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
		"POST /v2/a/blobs/uploads/?digest=" + sha256Zeros + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
	} {
		conn := dial(t, s.Host, request)
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 1200 {
				if _, err := io.WriteString(conn, "x"); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		}()
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, request)
		require.Equal(t, http.StatusRequestTimeout, res.StatusCode)
		conn.Close()
		<-done
	}
}

// slowStore takes one second for each KiB of an upload.
type slowStore struct{ registry.Unimplemented }

func (slowStore) CreateUpload(context.Context, string, *registry.UploadOptions) (registry.Upload, error) {
	return slowUpload{}, nil
}

type slowUpload struct{ registry.Upload }

func (slowUpload) Cancel(context.Context) error { return nil }
func (slowUpload) Commit(_ context.Context, d digest.Digest, chunk *registry.Chunk, _ ...digest.Digest) (descriptor,
	error) {
	for {
		n, err := io.ReadFull(chunk.Body, make([]byte, 1<<10))
		if n == 0 && errors.Is(err, io.EOF) {
			return descriptor{Digest: d}, nil
		}
		if err != nil {
			return descriptor{}, err
		}
		time.Sleep(time.Second)
	}
}

// TestSlowStorageIsNotASlowClient: the time that the storage takes does not count against the
// client.
func TestSlowStorageIsNotASlowClient(t *testing.T) {
	c := serve(t, slowStore{}, &registry.Options{BodyTimeout: 500 * time.Millisecond, MinRate: 1 << 30})
	c.want(201, "POST", "/v2/a/blobs/uploads/?digest="+sha256Zeros, []byte(strings.Repeat("x", 4<<10)))
}

// TestNegativeMinRateRefused: New refuses a negative rate.
func TestNegativeMinRateRefused(t *testing.T) {
	_, err := registry.New(registry.Unimplemented{}, &registry.Options{MinRate: -1})
	require.Error(t, err)
}
