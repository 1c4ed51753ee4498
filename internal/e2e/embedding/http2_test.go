package embedding

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"
)

// wire is a version of HTTP, with or without TLS.
type wire struct {
	name      string
	tls       bool
	protocols http.Protocols
	want      string // as requests name it
}

func wires() []wire {
	var one, two, clear http.Protocols
	one.SetHTTP1(true)
	two.SetHTTP2(true)
	clear.SetUnencryptedHTTP2(true)
	return []wire{
		{name: "HTTP1 with TLS", tls: true, protocols: one, want: "HTTP/1.1"},
		{name: "HTTP2 with TLS", tls: true, protocols: two, want: "HTTP/2.0"},
		{name: "HTTP2 without TLS", protocols: clear, want: "HTTP/2.0"},
	}
}

// listen starts a server for that version only, and returns it with a transport.
func (w wire) listen(t *testing.T, h http.Handler) (*httptest.Server, *http.Transport) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.Protocols = &w.protocols
	transport := &http.Transport{Protocols: &w.protocols}
	if w.tls {
		server.EnableHTTP2 = w.protocols.HTTP2()
		server.StartTLS()
		transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		transport.TLSClientConfig.NextProtos = nil // of the test server's own client
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	t.Cleanup(transport.CloseIdleConnections)
	return server, transport
}

// TestHTTP2 pushes and pulls several images at once, with HTTP/2 over one connection.
func TestHTTP2(t *testing.T) {
	for _, w := range wires() {
		t.Run(w.name, func(t *testing.T) {
			reg := newRegistry(t, nil, nil)
			server, transport := w.listen(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.Proto != w.want {
					http.Error(rw, "came by "+r.Proto, http.StatusHTTPVersionNotSupported)
					return
				}
				reg.ServeHTTP(rw, r)
			}))
			// The library takes loopback addresses for plain HTTP, so the registry has a name,
			// which is in the certificate.
			transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
			}
			var opts []name.Option
			if !w.tls {
				opts = append(opts, name.Insecure)
			}
			t.Run("at once", func(t *testing.T) {
				for _, repo := range []string{"one", "two", "three"} {
					t.Run(repo, func(t *testing.T) {
						t.Parallel()
						img, err := random.Image(1<<20, 4)
						require.NoError(t, err)
						ref, err := name.ParseReference("example.com/team/"+repo, opts...)
						require.NoError(t, err)
						require.NoError(t, remote.Write(ref, img, remote.WithTransport(transport), remote.WithJobs(8)))
						pull(t, ref, img, remote.WithTransport(transport))
					})
				}
			})
		})
	}
}
