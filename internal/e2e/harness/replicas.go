package harness

import (
	"context"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Replicas is several servers on one storage behind a balancer, which sends each connection to a random one of them.
type Replicas struct {
	// Addr is the address of the balancer.
	Addr string

	options Options
	args    []string // of the replicas at their start

	mu       sync.Mutex
	servers  []*Server
	draining *Server // gets no more requests
}

// NewReplicas starts n servers that end with the test. If the test fails, it prints the end of the log.
func NewReplicas(t *testing.T, n int, o Options) *Replicas {
	t.Helper()
	r := &Replicas{options: o, args: o.Args, servers: make([]*Server, n)}
	for i := range r.servers {
		r.start(t, i, "")
	}
	// A connection that is kept could be one to a replica that stops.
	direct := &http.Transport{DisableKeepAlives: true, DialContext: r.dial}
	quiet := log.New(io.Discard, "", 0) // clients hang up as they like
	toReplica := func(p *httputil.ProxyRequest) {
		p.Out.URL.Scheme, p.Out.URL.Host = "http", "replica" // dial chooses one
		p.Out.Host = p.In.Host
	}
	balancer := httptest.NewServer(&httputil.ReverseProxy{Transport: direct, ErrorLog: quiet, Rewrite: toReplica})
	r.Addr = strings.TrimPrefix(balancer.URL, "http://")
	t.Cleanup(func() {
		balancer.Close()
		for _, server := range r.Servers() {
			require.NoError(t, server.Stop())
		}
		if t.Failed() {
			t.Logf("registries:\n%s", r.Servers()[0].Tail())
		}
	})
	return r
}

// Servers returns the replicas.
func (r *Replicas) Servers() []*Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.servers)
}

// start starts a replica.
func (r *Replicas) start(t *testing.T, i int, addr string) {
	t.Helper()
	o := r.options
	o.Addr = addr
	server, err := Start(o)
	require.NoError(t, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.servers[i] = server
}

// Add starts one more replica.
func (r *Replicas) Add(t *testing.T) {
	t.Helper()
	server, err := Start(r.options)
	require.NoError(t, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.servers = append(r.servers, server)
}

// Kill kills a replica with SIGKILL, and starts it again at its address after 2 seconds.
func (r *Replicas) Kill(t *testing.T, i int) {
	t.Helper()
	server := r.Servers()[i]
	require.NoError(t, server.Kill())
	time.Sleep(2 * time.Second)
	r.start(t, i, server.Addr)
}

// Restart restarts all replicas, one after the other, with further arguments. They complete their requests.
func (r *Replicas) Restart(t *testing.T, args ...string) {
	t.Helper()
	r.options.Args = append(slices.Clip(r.args), args...)
	for i, server := range r.Servers() {
		r.mu.Lock()
		r.draining = server
		r.mu.Unlock()
		time.Sleep(200 * time.Millisecond) // what was sent before arrives
		require.NoError(t, server.Stop())
		r.start(t, i, server.Addr)
	}
}

// dial connects to a random replica, or to another one if that does not listen.
func (r *Replicas) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	r.mu.Lock()
	servers, draining := slices.Clone(r.servers), r.draining
	r.mu.Unlock()
	rand.Shuffle(len(servers), func(i, j int) { servers[i], servers[j] = servers[j], servers[i] })
	err := errors.New("no replica")
	for _, server := range servers {
		if server == draining {
			continue
		}
		conn, derr := new(net.Dialer).DialContext(ctx, network, server.Addr)
		if derr == nil {
			return conn, nil
		}
		err = derr
	}
	return nil, err
}
