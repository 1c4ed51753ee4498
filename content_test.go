package registry_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/filter"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// blobs is a Backend of one blob whose content comes from open.
type blobs struct {
	registry.Unimplemented
	size int64
	open func() io.ReadSeekCloser
	url  string
}

func (b *blobs) OpenBlob(_ context.Context, _ string, d digest.Digest, opts *registry.OpenOptions) (*registry.Blob,
	error) {
	blob := &registry.Blob{Descriptor: ocispec.Descriptor{Digest: d, Size: b.size}}
	if blob.URL = b.url; blob.URL == "" || !opts.AllowURL {
		blob.Body = b.open()
	}
	return blob, nil
}

// fileBody is a Body on a file. It counts the calls that read from it.
type fileBody struct {
	*os.File
	reads, sources *atomic.Int64
	closed         *atomic.Int64
}

func (f fileBody) Read(p []byte) (int, error) { f.reads.Add(1); return f.File.Read(p) }
func (f fileBody) Close() error               { f.closed.Add(1); return f.File.Close() }
func (f fileBody) Source() (io.Reader, int64, error) {
	at, err := f.File.Seek(0, io.SeekCurrent)
	f.sources.Add(1)
	return f.File, 1<<20 - at, err
}

// recordingListener counts how often a connection gets a file for sendfile.
type recordingListener struct {
	net.Listener
	files *atomic.Int64
}

func (l recordingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &recordingConn{TCPConn: c.(*net.TCPConn), files: l.files}, nil
}

type recordingConn struct {
	*net.TCPConn
	files *atomic.Int64
}

func (c *recordingConn) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		if _, ok := l.R.(syscall.Conn); ok {
			c.files.Add(1)
		}
	}
	return c.TCPConn.ReadFrom(r)
}

// TestSendfileWithoutCopy: the bytes of a file, and ranges of it, go to the connection without
// passing through the process. Other content arrives unchanged.
func TestSendfileWithoutCopy(t *testing.T) {
	content := registrytest.RandomBytes(1, 1<<20)
	name := filepath.Join(t.TempDir(), "blob")
	// The file continues after the end of the blob.
	require.NoError(t, os.WriteFile(name, append(bytes.Clone(content), "beyond"...), 0o600))
	var reads, sources, closed, opened, files atomic.Int64
	b := &blobs{size: 1 << 20, open: func() io.ReadSeekCloser {
		opened.Add(1)
		f, err := os.Open(name)
		require.NoError(t, err)
		return fileBody{File: f, reads: &reads, sources: &sources, closed: &closed}
	}}
	reg, err := registry.New(b, nil)
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(reg)
	s.Listener = recordingListener{s.Listener, &files}
	s.Start()
	defer s.Close()
	c := newClient(t, s.URL)
	path := "/v2/a/blobs/" + string(digest.FromBytes(content))

	require.Equal(t, content, c.want(200, "GET", path, nil).body)
	require.Equal(t, content[1000:], c.want(206, "GET", path, nil, "Range: bytes=1000-").body)
	require.Equal(t, content[1:200_001], c.want(206, "GET", path, nil, "Range: bytes=1-200000").body)
	require.EqualValues(t, 3, files.Load())
	require.EqualValues(t, 3, sources.Load())
	require.Zero(t, reads.Load())

	// Small ranges are copied.
	require.Equal(t, content[5:10], c.want(206, "GET", path, nil, "Range: bytes=5-9").body)
	require.EqualValues(t, 3, files.Load())

	// Of several ranges, the large ones are not copied.
	several := c.want(206, "GET", path, nil, "Range: bytes=0-99999,150000-150009,200000-299999").body
	require.Contains(t, string(several), string(content[:100_000]))
	require.Contains(t, string(several), string(content[150_000:150_010]))
	require.Contains(t, string(several), string(content[200_000:300_000]))
	require.EqualValues(t, 5, files.Load())

	// A handler of the host hides the optional methods of the connection.
	plain := newClient(t, startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reg.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
	})))
	require.Equal(t, content, plain.want(200, "GET", path, nil).body)
	require.Eventually(t, func() bool { return opened.Load() == closed.Load() }, time.Second, time.Millisecond)
}

// partly is a Body whose Source yields only the first half.
type partly struct {
	*os.File
	half string
}

func (p partly) Source() (io.Reader, int64, error) {
	f, err := os.Open(p.half)
	return f, 1 << 20, err
}

// TestSendfileShortSourceContinuesWithBody: bytes that the Source lacks come from the Body,
// starting where the Source ended.
func TestSendfileShortSourceContinuesWithBody(t *testing.T) {
	content := registrytest.RandomBytes(1, 1<<20)
	whole, half := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "half")
	require.NoError(t, os.WriteFile(whole, content, 0o600))
	require.NoError(t, os.WriteFile(half, content[:1<<19], 0o600))
	c := serve(t, &blobs{size: 1 << 20, open: func() io.ReadSeekCloser { return partly{must(os.Open(whole)), half} }}, nil)
	path := "/v2/a/blobs/" + string(digest.FromBytes(content))
	require.Equal(t, content, c.want(200, "GET", path, nil).body)
}

// TestSendfileFromDisk: the standard store on disk uses sendfile.
func TestSendfileFromDisk(t *testing.T) {
	driver, err := disk.New(t.TempDir(), nil)
	require.NoError(t, err)
	store, err := storage.New(context.Background(), driver, nil)
	require.NoError(t, err)
	reg, err := registry.New(store, nil)
	require.NoError(t, err)
	var files atomic.Int64
	s := httptest.NewUnstartedServer(reg)
	s.Listener = recordingListener{s.Listener, &files}
	s.Start()
	defer s.Close()
	c := newClient(t, s.URL)
	content := registrytest.RandomBytes(1, 1<<20)
	path := "/v2/a/blobs/" + string(c.pushBlob("a", content))
	require.Equal(t, content, c.want(200, "GET", path, nil).body)
	require.Equal(t, content[1000:900_000], c.want(206, "GET", path, nil, "Range: bytes=1000-899999").body)
	require.EqualValues(t, 2, files.Load())
}

// TestSendfileOfManySegments: each segment of a blob on disk is sent by sendfile, whole and in
// ranges, also through a filter. The last bytes, which are in the link, are copied.
func TestSendfileOfManySegments(t *testing.T) {
	driver, err := disk.New(t.TempDir(), nil)
	require.NoError(t, err)
	store, err := storage.New(context.Background(), driver, nil)
	require.NoError(t, err)
	content := registrytest.RandomBytes(1, 610_000)
	u, err := store.CreateUpload(t.Context(), "tenant/a", nil)
	require.NoError(t, err)
	for _, part := range [][2]int{{0, 300_000}, {300_000, 500_000}, {500_000, 600_000}, {600_000, 610_000}} {
		_, err = u.Append(t.Context(), int64(part[0]), -1, bytes.NewReader(content[part[0]:part[1]]))
		require.NoError(t, err)
	}
	d := digest.FromBytes(content)
	_, err = u.Commit(t.Context(), d, nil)
	require.NoError(t, err)
	tenant, err := filter.Sub(store, "tenant")
	require.NoError(t, err)
	for name, backend := range map[string]registry.Backend{"tenant/a": store, "a": tenant} {
		reg, err := registry.New(backend, nil)
		require.NoError(t, err)
		var files atomic.Int64
		s := httptest.NewUnstartedServer(reg)
		s.Listener = recordingListener{s.Listener, &files}
		s.Start()
		defer s.Close()
		c := newClient(t, s.URL)
		path := "/v2/" + name + "/blobs/" + string(d)
		for _, x := range []struct {
			header             string
			first, end, pieces int
		}{
			{"", 0, 610_000, 3},
			{"Range: bytes=0-", 0, 610_000, 3},
			{"Range: bytes=100000-", 100_000, 610_000, 3},
			{"Range: bytes=300000-499999", 300_000, 500_000, 1},
			{"Range: bytes=290000-500000", 290_000, 500_001, 1}, // the first and the last piece are small
			{"Range: bytes=-200000", 410_000, 610_000, 2},
			{"Range: bytes=590000-", 590_000, 610_000, 0}, // less than a buffer
		} {
			files.Store(0)
			headers := []string{x.header}
			status := 206
			if x.header == "" {
				headers, status = nil, 200
			}
			got := c.want(status, "GET", path, nil, headers...).body
			require.True(t, bytes.Equal(content[x.first:x.end], got), x.header)
			require.EqualValues(t, x.pieces, files.Load(), x.header)
		}
	}
}

// failingBody yields the content up to failAt and then err.
type failingBody struct {
	*bytes.Reader
	failAt int64
	err    error
}

func (b failingBody) Close() error { return nil }
func (b failingBody) Read(p []byte) (int, error) {
	at := b.Size() - int64(b.Len())
	if at >= b.failAt {
		return 0, b.err
	}
	return b.Reader.Read(p[:min(int64(len(p)), b.failAt-at)])
}

// TestIncompleteResponseIsCutOff: a response that cannot be completed never looks complete, over
// any version of HTTP. A response that has not begun is an error.
func TestIncompleteResponseIsCutOff(t *testing.T) {
	content := registrytest.RandomBytes(1, 300_000)
	path := "/v2/a/blobs/" + string(digest.FromBytes(content))
	for name, cause := range map[string]error{"failure": errors.New("disk on fire"), "short": io.EOF} {
		for _, failAt := range []int64{1, 64 << 10, 200_000, 299_999} {
			for _, proto := range []int{1, 2} {
				for _, header := range []string{"", "bytes=0-299999", "bytes=0-0,10-299999"} {
					t.Run(fmt.Sprint(name, failAt, proto, header), func(t *testing.T) {
						var log bytes.Buffer
						reg, err := registry.New(&blobs{size: 300_000, open: func() io.ReadSeekCloser {
							return failingBody{bytes.NewReader(content), failAt, cause}
						}}, &registry.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
						require.NoError(t, err)
						done := make(chan struct{})
						s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							defer close(done)
							reg.ServeHTTP(w, r)
						}))
						s.EnableHTTP2 = proto == 2
						s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
						s.StartTLS()
						defer s.Close()
						req, err := http.NewRequest("GET", s.URL+path, nil)
						require.NoError(t, err)
						if header != "" {
							req.Header.Set("Range", header)
						}
						res, err := s.Client().Do(req)
						if err == nil { // the response may be cut off before its header
							require.Equal(t, proto, res.ProtoMajor)
							_, err = io.Copy(io.Discard, res.Body)
							res.Body.Close()
						}
						require.Error(t, err)
						if proto == 2 { // the stream is reset and does not only end
							require.ErrorContains(t, err, "INTERNAL_ERROR")
						}
						<-done
						require.Equal(t, name == "failure", bytes.Contains(log.Bytes(), []byte("disk on fire")), "%s", &log)
					})
				}
			}
		}
	}
}

// TestBlobFirstReadFailureIsAnError: a failure before the first byte gets an error response.
func TestBlobFirstReadFailureIsAnError(t *testing.T) {
	for _, size := range []int64{100, 300_000} {
		for _, failure := range []struct {
			err    error
			status int
		}{
			{registry.ErrBlobUnknown, 404}, {fmt.Errorf("x: %w", registry.ErrUnavailable), 503}, {errors.New("x"), 500},
			{io.EOF, 500},
		} {
			c := serve(t, &blobs{size: size, open: func() io.ReadSeekCloser {
				return failingBody{bytes.NewReader(make([]byte, size)), 0, failure.err}
			}}, nil)
			for _, header := range []string{"Accept: */*", "Range: bytes=5-90"} {
				a := c.want(failure.status, "GET", "/v2/a/blobs/"+sha256Zeros, nil, header)
				require.Empty(t, a.Header.Get("Content-Range"))
				require.Empty(t, a.Header.Get("ETag"))
			}
		}
	}
}

func TestBlobURL(t *testing.T) {
	c := serve(t, &blobs{size: 5, url: "https://bucket.example/x?sig=1"}, nil)
	a := c.want(307, "GET", "/v2/a/blobs/"+sha256Zeros, nil)
	require.Equal(t, "https://bucket.example/x?sig=1", a.Header.Get("Location"))
	require.Empty(t, a.body)
}

// TestClientDisconnectsDuringRanges: a client that disconnects between several ranges leaves no
// reader open and causes no race.
func TestClientDisconnectsDuringRanges(t *testing.T) {
	s, c := newRegistry(t, nil)
	path := "/v2/a/blobs/" + string(c.pushBlob("a", registrytest.RandomBytes(1, 32<<20)))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			conn, err := net.Dial("tcp", s.Host)
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nRange: bytes=0-15000000,16000000-\r\n\r\n", path)
			_, _ = io.CopyN(io.Discard, bufio.NewReader(conn), 100_000)
		})
	}
	wg.Wait()
}

// TestStalledReaderIsCutOff: the response to a client that stops reading is cut off. The response
// to a slow reader is not.
func TestStalledReaderIsCutOff(t *testing.T) {
	for _, kind := range []string{"disk", "memory"} {
		t.Run(kind, func(t *testing.T) {
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
			const size = 24 << 20 // more than the buffers of a connection
			c := serve(t, store, &registry.Options{BodyTimeout: time.Second, MinRate: 2 << 20})
			blob := c.pushBlob("a", registrytest.RandomBytes(1, size))
			host := strings.TrimPrefix(c.base, "http://")
			request := "GET /v2/a/blobs/" + string(blob) + " HTTP/1.1\r\nHost: x\r\n\r\n"

			stalled := dial(t, host, request)
			time.Sleep(5 * time.Second)
			n, _ := io.Copy(io.Discard, stalled)
			require.Less(t, n, int64(size), "it was given up")

			slow := dial(t, host, request)
			n = 0
			for n < 8<<20 {
				m, err := io.CopyN(io.Discard, slow, 1<<20)
				n += m
				require.NoError(t, err)
				time.Sleep(200 * time.Millisecond)
			}
		})
	}
}
