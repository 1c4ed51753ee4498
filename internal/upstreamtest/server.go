package upstreamtest

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Kind is what a request asks for.
type Kind string

// The kinds of requests. Storage is the path /storage/DIGEST, which serves any blob without
// authentication: a target for redirects. Token is the token service.
const (
	Base      Kind = "base"
	Blob      Kind = "blob"
	Manifest  Kind = "manifest"
	Tags      Kind = "tags"
	Referrers Kind = "referrers"
	Storage   Kind = "storage"
	Token     Kind = "token"
	Other     Kind = "other"
)

// Request is a request that the server has received.
type Request struct {
	Method string
	Kind   Kind
	// Repository and Ref are those of the path. Ref is a tag or a digest, or "".
	Repository, Ref string
	// Query is the query of the URL, as sent.
	Query  string
	Header http.Header
}

// Server is a registry. It is safe for concurrent use.
type Server struct {
	// URL is the base URL, without a slash at the end.
	URL string

	http   *httptest.Server
	memory *memoryListener // nil if the server has a socket
	done   chan struct{}   // closed when the test ends

	mu          sync.Mutex
	repos       map[string]*repository
	breaks      []*broken
	requests    []Request
	arrived     *sync.Cond // signals a change of requests
	connections int
	down        bool
	login       func(username, password, repo string) bool
	tokens      map[string]string // the repository of each token
}

type repository struct {
	blobs     map[digest.Digest][]byte
	manifests map[digest.Digest]manifest
	tags      map[string]digest.Digest
}

type manifest struct {
	desc    ocispec.Descriptor
	content []byte
}

// New starts a server on a loopback address. It ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := newServer()
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.http.Listener = &downListener{Listener: s.http.Listener, s: s}
	s.start(t, s.http.Start)
	s.URL = s.http.URL
	return s
}

// NewTLS is like New with https. The transport of [Server.Client] trusts its certificate.
func NewTLS(t testing.TB) *Server {
	t.Helper()
	s := newServer()
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.http.Listener = &downListener{Listener: s.http.Listener, s: s}
	s.http.EnableHTTP2 = true
	s.start(t, s.http.StartTLS)
	s.URL = s.http.URL
	return s
}

// NewInMemory starts a server without a socket, for testing/synctest. Its URL is "http://" and
// address. Only a [Transport] reaches it.
func NewInMemory(t testing.TB, address string) *Server {
	t.Helper()
	s := newServer()
	s.memory = newMemoryListener(address)
	s.http = &httptest.Server{Listener: s.memory,
		Config: &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: time.Hour}}
	s.start(t, s.http.Start)
	s.URL = "http://" + address
	return s
}

func newServer() *Server {
	s := &Server{repos: map[string]*repository{}, done: make(chan struct{}), tokens: map[string]string{}}
	s.arrived = sync.NewCond(&s.mu)
	return s
}

func (s *Server) start(t testing.TB, start func()) {
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0) // tests break connections on purpose
	s.http.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.connections++
		}
	}
	start()
	t.Cleanup(func() {
		close(s.done)
		s.http.CloseClientConnections()
		s.http.Close()
	})
}

// Client returns a client that trusts the certificate of the server.
func (s *Server) Client() *http.Client { return s.http.Client() }

// SetDown makes the server close every connection at once, or ends that. Connections in use break.
func (s *Server) SetDown(down bool) {
	s.mu.Lock()
	s.down = down
	s.mu.Unlock()
	if down {
		s.http.CloseClientConnections()
	}
}

func (s *Server) isDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// Requests returns the requests so far, in the order of their arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Count returns the number of requests so far. An empty method or kind means any.
func (s *Server) Count(method string, kind Kind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(method, kind)
}

func (s *Server) count(method string, kind Kind) (n int) {
	for _, r := range s.requests {
		if (method == "" || method == r.Method) && (kind == "" || kind == r.Kind) {
			n++
		}
	}
	return n
}

// Await returns when the server has received n requests, or fails the test after ten seconds. An
// empty method or kind means any.
func (s *Server) Await(t testing.TB, method string, kind Kind, n int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	late := false
	defer time.AfterFunc(10*time.Second, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.arrived.Broadcast()
	}).Stop()
	for s.count(method, kind) < n && !late {
		s.arrived.Wait()
	}
	if late {
		t.Fatalf("upstreamtest: %d requests instead of %d: %s %s", s.count(method, kind), n, method, kind)
	}
}

// Forget forgets the requests and connections so far, for later calls of Count.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.connections = nil, 0
}

// Connections returns the number of connections so far. A connection that was closed because of
// SetDown does not count.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// downListener closes connections while the server is down.
type downListener struct {
	net.Listener
	s *Server
}

// Accept implements [net.Listener].
func (l *downListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || !l.s.isDown() {
			return c, err
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // the client sees a reset
		}
		_ = c.Close()
	}
}

// memoryListener hands over the ends of pipes.
type memoryListener struct {
	address string
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newMemoryListener(address string) *memoryListener {
	return &memoryListener{address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept implements [net.Listener].
func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements [net.Listener].
func (l *memoryListener) Addr() net.Addr { return memoryAddr(l.address) }

type memoryAddr string

// Network implements [net.Addr].
func (memoryAddr) Network() string { return "memory" }

// String implements [net.Addr].
func (a memoryAddr) String() string { return string(a) }

// Transport returns a transport that reaches servers of [NewInMemory] by their addresses. Any other
// address refuses connections, as a server does while it is down.
func Transport(t testing.TB, servers ...*Server) *http.Transport {
	tr := &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			for _, s := range servers {
				if s.memory == nil || strings.TrimSuffix(address, ":80") != strings.TrimSuffix(s.memory.address, ":80") ||
					s.isDown() {
					continue
				}
				client, server := net.Pipe()
				select {
				case s.memory.conns <- server:
					return client, nil
				case <-s.memory.closed:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			return nil, &net.OpError{Op: "dial", Net: "memory", Addr: memoryAddr(address), Err: errRefused}
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}
