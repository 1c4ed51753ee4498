package config_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/mirror/config"
	"github.com/registrykit/registry/reference"
)

// write writes a file into a folder and returns its path.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// every sets every key but those that exclude others.
const every = `
root: docker.io
local: [local/**, "team/*"]
maxSize: 1.5TiB
interval: 90s
offline: true
anonymousFetch: false
admitWait: 5s
pseudonym: mirror-1
upstreams:
  - name: Docker.IO
    aliases: [index.docker.io, registry-1.docker.io]
    prefix: hub
    hosts: docker.mirror.example
    urls: [https://registry-1.docker.io, "http://127.0.0.1:5000/base"]
    library: library
    usernameFile: user
    passwordFile: password
    realms: [auth.docker.io, "*.docker.com"]
    tagTTL: 10m
    tagTTLs:
      - {pattern: "library/*:v*", ttl: forever}
      - {pattern: "**:latest", ttl: 0s}
    negativeTTL: 0s
    keepDeleted: true
    allow: ["acme/**", "acme/app:v*"]
    deny: acme/secret
    platforms: [linux/amd64, linux/arm64/v8]
    maxBlobSize: 10GiB
    minAge: 3d
    timeout: 5s
    idle: 1m
    requests: 8
  - name: registry.example:5000
    prefix: example
    urls: https://registry.example:5000
    passThrough: true
    proof: 1m
    deletedGrace: 1h
`

// TestEveryKey reads every key but those of connections, which have tests of their own.
func TestEveryKey(t *testing.T) {
	c, err := config.Parse([]byte(every))
	require.NoError(t, err)
	require.NotNil(t, c.Options.MayFetch)
	c.Options.MayFetch = nil
	require.Equal(t, mirror.Options{Root: "docker.io", Local: []string{"local/**", "team/*"}, MaxSize: 3 << 39,
		Interval: 90 * time.Second, Offline: true, AdmitWait: 5 * time.Second, Pseudonym: "mirror-1"}, c.Options)
	require.NotNil(t, c.Upstreams[0].Credentials)
	c.Upstreams[0].Credentials = nil
	require.Equal(t, []mirror.Upstream{
		{
			Name: "docker.io", Prefix: "hub", Aliases: []string{"index.docker.io", "registry-1.docker.io"},
			Hosts: []string{"docker.mirror.example"}, Library: "library",
			URLs:   []string{"https://registry-1.docker.io", "http://127.0.0.1:5000/base"},
			Realms: []string{"auth.docker.io", "*.docker.com"}, TagTTL: 10 * time.Minute,
			TagTTLs:     []mirror.TagTTL{{Pattern: "library/*:v*", TTL: mirror.Forever}, {Pattern: "**:latest", TTL: -1}},
			NegativeTTL: -1, KeepDeleted: true, Allow: []string{"acme/**", "acme/app:v*"}, Deny: []string{"acme/secret"},
			Platforms: []string{"linux/amd64", "linux/arm64/v8"}, MaxBlobSize: 10 << 30, MinAge: 72 * time.Hour,
			Timeout: 5 * time.Second, Idle: time.Minute, Requests: 8,
		},
		{
			Name: "registry.example:5000", Prefix: "example", URLs: []string{"https://registry.example:5000"},
			PassThrough: true, Proof: time.Minute, DeletedGrace: time.Hour,
		},
	}, c.Upstreams)
}

// TestShort reads the configuration of the package comment: whatever it does not set has its default.
func TestShort(t *testing.T) {
	path := write(t, t.TempDir(), "mirror.yaml", `upstreams:
  - name: docker.io
    urls: [https://registry-1.docker.io]
    tagTTL: 10m
  - {name: ghcr.io, urls: [https://ghcr.io], allow: ["acme/**"]}
`)
	c, err := config.Load(path)
	require.NoError(t, err)
	require.Equal(t, &config.Config{Upstreams: []mirror.Upstream{
		{Name: "docker.io", URLs: []string{"https://registry-1.docker.io"}, TagTTL: 10 * time.Minute},
		{Name: "ghcr.io", URLs: []string{"https://ghcr.io"}, Allow: []string{"acme/**"}},
	}}, c)
}

// TestAnonymousFetch: only callers with a name cause requests if the file says so.
func TestAnonymousFetch(t *testing.T) {
	const upstreams = "\nupstreams: [{name: a.example, urls: https://a.example}]\n"
	c, err := config.Parse([]byte("anonymousFetch: true" + upstreams))
	require.NoError(t, err)
	require.Nil(t, c.Options.MayFetch)
	c, err = config.Parse([]byte("anonymousFetch: false" + upstreams))
	require.NoError(t, err)
	require.False(t, c.Options.MayFetch(t.Context(), "a.example", "a.example/x"))
	reg, err := registry.New(&asker{ask: c.Options.MayFetch}, nil)
	require.NoError(t, err)
	for name, want := range map[string]error{"ann": registry.ErrManifestUnknown, "": registry.ErrDenied} {
		b := reg.Backend(auth.Identity{Name: name})
		_, err = b.StatManifest(t.Context(), "a.example/x", reference.Ref{Tag: "v1"}, nil)
		require.ErrorIs(t, err, want)
	}
}

// asker is a backend that asks whether the caller may fetch.
type asker struct {
	registry.Unimplemented
	ask func(ctx context.Context, upstream, repo string) bool
}

func (a *asker) StatManifest(ctx context.Context, repo string, _ reference.Ref, _ *registry.StatOptions) (
	ocispec.Descriptor, error) {
	if a.ask(ctx, "a.example", repo) {
		return ocispec.Descriptor{}, registry.ErrManifestUnknown
	}
	return ocispec.Descriptor{}, registry.ErrDenied
}

// TestPasswordFile: a corrected password counts without a restart, and the file may be missing at the
// start.
func TestPasswordFile(t *testing.T) {
	dir := t.TempDir()
	c, err := config.Load(write(t, dir, "mirror.yaml", "upstreams:\n- name: a.example\n  urls: https://a.example\n"+
		"  usernameFile: user\n  passwordFile: "+filepath.Join(dir, "password")+"\n"))
	require.NoError(t, err)
	source := c.Upstreams[0].Credentials
	_, err = source(t.Context(), "a.example")
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, password := range []string{"wrong", "correct horse"} {
		write(t, dir, "user", "ann\r\n")
		write(t, dir, "password", password+"\n")
		got, err := source(t.Context(), "a.example")
		require.NoError(t, err)
		require.Equal(t, "ann", got.Username)
		require.Equal(t, password, string(got.Password))
	}
}

// TestTransport reaches an upstream with a private authority that requires a client certificate, and
// another one by a proxy.
func TestTransport(t *testing.T) {
	dir := t.TempDir()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	write(t, dir, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	write(t, dir, "client.pem", clientCertificate(t, "mirror"))
	text := "upstreams:\n- name: a.example\n  urls: " + server.URL + "\n  ca: ca.pem\n  clientCert: client.pem\n"
	c, err := config.Load(write(t, dir, "mirror.yaml", text))
	require.NoError(t, err)
	require.Equal(t, "mirror", get(t, c.Upstreams[0].Transport, server.URL))

	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "by the proxy to "+r.URL.Host)
	}))
	t.Cleanup(proxy.Close)
	c, err = config.Parse([]byte("upstreams: [{name: a.example, urls: http://a.example, proxy: '" + proxy.URL + "'}]"))
	require.NoError(t, err)
	require.Equal(t, "by the proxy to a.example", get(t, c.Upstreams[0].Transport, "http://a.example/"))

	c, err = config.Parse([]byte("upstreams: [{name: a.example, urls: http://a.example, proxy: none}]"))
	require.NoError(t, err)
	direct, ok := c.Upstreams[0].Transport.(*http.Transport)
	require.True(t, ok)
	require.Nil(t, direct.Proxy)
	require.NotNil(t, http.DefaultTransport.(*http.Transport).Proxy, "the default transport is as it was")
}

// clientCertificate returns a certificate and its key, in PEM.
func clientCertificate(t *testing.T, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// get returns the body of a response.
func get(t *testing.T, tr http.RoundTripper, target string) string {
	t.Helper()
	u, err := url.Parse(target)
	require.NoError(t, err)
	res, err := (&http.Client{Transport: tr, Timeout: time.Minute}).Get(u.String())
	require.NoError(t, err)
	defer res.Body.Close()
	b := make([]byte, 100)
	n, _ := res.Body.Read(b)
	return string(b[:n])
}

// TestParseSize: the units are binary, and nothing is rounded silently to zero.
func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "1048576": 1 << 20, "10KiB": 10 << 10, "512MiB": 512 << 20,
		"1.5TiB": 3 << 39, "0.5KiB": 512, "9223372036854775807": 1<<63 - 1} {
		got, err := config.ParseSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "0", "-1", "+1", "1.5", "10GB", "10G", "10 GiB", "GiB", "1e3", "0.0001KiB", "0GiB",
		"9223372036854775808", "9999999999TiB", "1.KiB", "١GiB"} {
		_, err := config.ParseSize(text)
		require.ErrorContains(t, err, "such as", text)
	}
}
