package harness

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Front is nginx with TLS and HTTP/2 in front of a registry, as in a typical deployment.
type Front struct {
	Host string // the name in its certificate; clients use the standard port
	Addr string // address of its listener
	CA   string // file with the certificate of its authority
	Log  string // file with a line "METHOD URI PROTOCOL STATUS" for each request
}

// FrontHost is the name in the certificate of a Front. A registry behind a Front needs it in
// -external-url.
const FrontHost = "registry.example.test"

const nginxConfig = `daemon off;
pid %[1]s/pid;
error_log stderr;
events {}
http {
	log_format trace '$request_method $request_uri $server_protocol $status';
	access_log %[1]s/access.log trace;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen %[2]s ssl http2;
		ssl_certificate %[3]s;
		ssl_certificate_key %[4]s;
		location /v2/ {
			proxy_pass http://%[5]s;
			proxy_http_version 1.1;
			proxy_set_header Host $http_host;
			client_max_body_size 0;       # layers are as large as they are
			proxy_request_buffering off;  # and are not written to a file first
			proxy_buffering off;
			proxy_read_timeout 900s;
		}
	}
}
`

// NewFront starts nginx in front of a registry. It sets an HTTPS proxy in the environment of the
// programs that the test starts, as in a company network. That proxy connects only to this nginx.
// So clients check names and certificates as usual, and no file of the system needs a change.
func NewFront(t *testing.T, s *Server) *Front {
	t.Helper()
	dir := ShortDir(t)
	addr, err := FreeAddr()
	require.NoError(t, err)
	f := &Front{Host: FrontHost, Addr: addr, Log: filepath.Join(dir, "access.log")}
	cert := NewCertificate(t, f.Host)
	f.CA = cert.CA
	config := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, addr, cert.Cert, cert.Key, s.Addr), 0o644))
	Daemon(t, func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err
	}, "nginx", "-c", config, "-p", dir)

	tunnel := httptest.NewServer(http.HandlerFunc(f.connect))
	t.Cleanup(tunnel.Close)
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		t.Setenv(name, tunnel.URL)
	}
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, "")
	}
	return f
}

// connect handles CONNECT (RFC 9110, section 9.3.6).
func (f *Front) connect(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect || r.Host != f.Host+":443" {
		http.Error(w, "only CONNECT to "+f.Host, http.StatusForbidden)
		return
	}
	to, err := net.Dial("tcp", f.Addr)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer to.Close()
	from, rest, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer from.Close()
	if _, err := io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(to, rest)
		_ = to.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(from, to)
	from.Close() // ends the other copy
	<-done
}
