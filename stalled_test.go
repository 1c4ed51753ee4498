package registry_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

// smallBuffers is a listener whose connections buffer few bytes.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		err = conn.(*net.TCPConn).SetWriteBuffer(16 << 10)
	}
	return conn, err
}

// serveSmall serves HTTP/1.1 and HTTP/2 without TLS with small buffers, and returns the address.
func serveSmall(t testing.TB, h http.Handler) string {
	return serveSmallWith(t, h, func(net.Conn, http.ConnState) {})
}

func serveSmallWith(t testing.TB, h http.Handler, state func(net.Conn, http.ConnState)) string {
	s := httptest.NewUnstartedServer(h)
	s.Config.ConnState = state
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Listener = smallBuffers{s.Listener}
	s.Start()
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// dialSmall opens a connection whose receive buffer is small.
func dialSmall(t testing.TB, host string) net.Conn {
	conn, err := net.Dial("tcp", host)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(16<<10))
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*time.Minute)))
	return conn
}

// impatient are options with short timeouts for clients that do not read.
func impatient() *registry.Options {
	return &registry.Options{BodyTimeout: 200 * time.Millisecond, MinRate: 1 << 30}
}

// everyRoute returns a registry that permits everything, a registry that permits nothing, and
// requests for every route and for some invalid paths.
func everyRoute(t *testing.T) (registries []*registry.Registry, routes []registry.RouteInfo) {
	img := registrytest.RandomImage(1, 1, 10)
	for _, authorizer := range []auth.Authorizer{nil, seesSome()} {
		store := registrytest.NewStore(t)
		open, err := registry.New(store, nil)
		require.NoError(t, err)
		newClient(t, startServer(t, open)).push("a", img, "v1")
		opts := impatient()
		opts.Authorizer = authorizer
		reg, err := registry.New(store, opts)
		require.NoError(t, err)
		registries = append(registries, reg)
	}
	routes = registry.Routes("a", "v1", string(img.Descriptor.Digest), "b", "none")
	for _, path := range []string{"/", "/v2", "/v2/A/manifests/x", "/v2/a/blobs/x", "/v2/a/tags/list?n=x",
		"/v2/a/manifests/none"} {
		routes = append(routes, registry.RouteInfo{Method: "GET", Path: path},
			registry.RouteInfo{Method: "OPTIONS", Path: path})
	}
	return registries, routes
}

// TestStalledReaderOfEveryRoute: if an HTTP/1.1 client reads nothing, the response of every route
// is cut off.
func TestStalledReaderOfEveryRoute(t *testing.T) {
	registries, routes := everyRoute(t)
	for _, reg := range registries {
		var open, idle sync.Map // address of the client to its request, and to when it was last served
		host := serveSmallWith(t, reg, func(conn net.Conn, state http.ConnState) {
			client := conn.RemoteAddr().String()
			switch state {
			case http.StateClosed:
				open.Delete(client)
			case http.StateIdle:
				idle.Store(client, time.Now())
			default:
				idle.Delete(client)
			}
		})
		for _, route := range routes {
			conn := dialSmall(t, host)
			open.Store(conn.LocalAddr().String(), route.Method+" "+route.Path)
			request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", route.Method, route.Path)
			go func() {
				var err error
				for err == nil {
					_, err = io.WriteString(conn, request)
				}
			}()
		}
		// A connection for whose next request the server has waited for long is not stalled by a
		// response: with buffers this small, TCP may take minutes to send a dropped request again.
		const long = 10 * time.Second
		stalled := func() (requests []any) {
			open.Range(func(client, request any) bool {
				if since, ok := idle.Load(client); !ok || time.Since(since.(time.Time)) < long {
					requests = append(requests, request)
				}
				return true
			})
			return requests
		}
		for end := time.Now().Add(time.Minute); len(stalled()) > 0 && time.Now().Before(end); {
			time.Sleep(50 * time.Millisecond)
		}
		require.Empty(t, stalled(), "their connections stay open")
	}
}

// TestStalledStreamOfEveryRoute: if an HTTP/2 client reads no byte of the body, the response of
// every route is cut off.
func TestStalledStreamOfEveryRoute(t *testing.T) {
	registries, routes := everyRoute(t)
	for _, reg := range registries {
		f := dialFrames(t, serveSmall(t, reg))
		open := map[uint32]registry.RouteInfo{}
		for _, route := range routes {
			open[f.request(route.Method, route.Path)] = route
		}
		reset := map[string]bool{}
		for len(open) > 0 {
			kind, flags, stream := f.read()
			switch {
			case kind == frameRSTStream:
				reset[open[stream].Method+" "+open[stream].Path] = true
				delete(open, stream)
			case flags&flagEndStream != 0 && (kind == frameHeaders || kind == frameData):
				delete(open, stream)
			}
		}
		require.True(t, reset["GET /v2/"] && reset["GET /v2/_catalog"] && reset["GET /v2/a/manifests/v1"] &&
			reset["GET /v2/a/manifests/none"])
	}
}

// largeManifest returns a manifest of almost the maximum size. Manifests of different numbers
// differ.
func largeManifest(t testing.TB, backend registry.Backend, n int) *registry.Manifest {
	return paddedManifest(t, backend, n, 4<<20-2000)
}

// paddedManifest returns a manifest with the given number of padding bytes.
func paddedManifest(t testing.TB, backend registry.Backend, n, padding int) *registry.Manifest {
	config := []byte("{}")
	u, err := backend.CreateUpload(t.Context(), "a", nil)
	require.NoError(t, err)
	desc, err := u.Commit(t.Context(), digest.FromBytes(config), &registry.Chunk{Length: 2, Body: strings.NewReader("{}")})
	require.NoError(t, err)
	desc.MediaType = ocispec.MediaTypeImageConfig
	content, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: desc,
		Layers:      []descriptor{},
		Annotations: map[string]string{"n": fmt.Sprint(n), "padding": strings.Repeat("x", padding)},
	})
	require.NoError(t, err)
	res, err := backend.PutManifest(t.Context(), "a", ocispec.MediaTypeImageManifest, content, nil)
	require.NoError(t, err)
	return &registry.Manifest{Descriptor: res.Descriptor, Content: content}
}

// heap returns the number of heap bytes in use.
func heap() int64 {
	runtime.GC()
	runtime.GC() // a pool releases its memory in the second collection
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// patient serves a store on disk to clients that may stall for an hour.
func patient(t *testing.T) (host string, backend registry.Backend) {
	driver, err := disk.New(t.TempDir(), nil)
	require.NoError(t, err)
	store, err := storage.New(t.Context(), driver, nil)
	require.NoError(t, err)
	reg, err := registry.New(store, &registry.Options{BodyTimeout: time.Hour})
	require.NoError(t, err)
	return serveSmall(t, reg), reg.Backend(anybody)
}

// TestStalledReadersOfOneManifest: a large manifest is in memory only once, whatever the number of
// clients that receive it.
func TestStalledReadersOfOneManifest(t *testing.T) {
	host, backend := patient(t)
	path := "/v2/a/manifests/" + string(largeManifest(t, backend, 1).Descriptor.Digest)
	before := heap()

	f := dialFrames(t, host)
	for range 250 {
		f.request("GET", path)
	}
	for headers := 0; headers < 250; headers++ {
		kind, _, _ := f.read()
		require.EqualValues(t, frameHeaders, kind)
	}
	require.Less(t, heap()-before, int64(40<<20), "250 streams of HTTP/2")
	f.conn.Close()

	for range 60 {
		conn := dialSmall(t, host)
		_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		require.NoError(t, err)
		_, err = io.CopyN(io.Discard, conn, 1000) // the response has begun
		require.NoError(t, err)
	}
	require.Less(t, heap()-before, int64(40<<20), "60 connections of HTTP/1.1")
}

// TestStalledReadersOfManyManifests: the total size of the large manifests in progress is bounded.
// If a new one needs room, the registry cuts off the response to the client that has stalled
// longest. The new one does not wait.
func TestStalledReadersOfManyManifests(t *testing.T) {
	host, backend := patient(t)
	const many = 24
	responses, paths := make([]*http.Response, many), make([]string, many)
	var last *registry.Manifest
	for i := range paths {
		last = largeManifest(t, backend, i)
		paths[i] = "/v2/a/manifests/" + string(last.Descriptor.Digest)
	}
	before := heap()
	for i, path := range paths {
		conn := dialSmall(t, host)
		_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		require.NoError(t, err)
		responses[i], err = http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
	}
	require.Less(t, heap()-before, int64(80<<20))

	c := newClient(t, "http://"+host)
	require.Equal(t, string(last.Content), string(c.want(200, "GET", paths[many-1], nil).body))
	for i, whole := range map[int]bool{0: false, many - 1: true} {
		_, err := io.Copy(io.Discard, responses[i].Body)
		require.Equal(t, whole, err == nil, "manifest %d: %v", i, err)
	}
}

// TestStalledConnection: WriteByteTimeout closes the HTTP/2 connection of a client that reads
// nothing, as the package documentation says. The registry itself can end only the streams.
func TestStalledConnection(t *testing.T) {
	store, paths := diskStore(t, 1)
	reg, err := registry.New(store, impatient())
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(reg)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.HTTP2 = &http.HTTP2Config{WriteByteTimeout: 300 * time.Millisecond}
	closed := make(chan struct{})
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(closed)
		}
	}
	s.Listener = smallBuffers{s.Listener}
	s.Start()
	t.Cleanup(s.Close)

	f := dialFrames(t, strings.TrimPrefix(s.URL, "http://"))
	require.NoError(t, f.conn.(*net.TCPConn).SetReadBuffer(16<<10))
	f.write(frameSettings, 0, 0, []byte{0, 4, 0x7f, 0xff, 0xff, 0xff}) // SETTINGS_INITIAL_WINDOW_SIZE
	f.write(frameWindowUpdate, 0, 0, []byte{0x7f, 0, 0, 0})
	f.request("GET", paths[0])
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Fatal("the connection stays open")
	}
}
