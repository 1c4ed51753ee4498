package registry_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/registrytest"
)

// smallBuffers is a listener whose connections hold little that the client has not read.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		err = conn.(*net.TCPConn).SetWriteBuffer(16 << 10)
	}
	return conn, err
}

// serveSmall serves by HTTP/1.1 and HTTP/2 without TLS, with small buffers, and returns the address.
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

// dialSmall opens a connection that holds little that has not been read.
func dialSmall(t testing.TB, host string) net.Conn {
	conn, err := net.Dial("tcp", host)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(16<<10))
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*time.Minute)))
	return conn
}

// impatient are options with which a client that does not read is given up at once.
func impatient() *registry.Options {
	return &registry.Options{BodyTimeout: 200 * time.Millisecond, MinRate: 1 << 30}
}

// everyRoute returns a registry where all is permitted and one where nothing is, and requests for every route and for some paths that
// are no route.
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
	for _, path := range []string{"/", "/v2", "/v2/A/manifests/x", "/v2/a/blobs/x", "/v2/a/tags/list?n=x", "/v2/a/manifests/none"} {
		routes = append(routes, registry.RouteInfo{Method: "GET", Path: path}, registry.RouteInfo{Method: "OPTIONS", Path: path})
	}
	return registries, routes
}

// TestStalledReaderOfEveryRoute: a client that sends requests over HTTP/1.1 and reads no answer is given up, whatever it asks for.
func TestStalledReaderOfEveryRoute(t *testing.T) {
	registries, routes := everyRoute(t)
	for _, reg := range registries {
		var open sync.Map // address of the client to its request
		host := serveSmallWith(t, reg, func(conn net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				open.Delete(conn.RemoteAddr().String())
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
		stalled := func() (requests []any) {
			open.Range(func(_, request any) bool {
				requests = append(requests, request)
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

// TestStalledStreamOfEveryRoute: a client that takes no byte of a body over HTTP/2 is given up, whatever it asks for.
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
		require.True(t, reset["GET /v2/"] && reset["GET /v2/_catalog"] && reset["GET /v2/a/manifests/v1"] && reset["GET /v2/a/manifests/none"])
	}
}
