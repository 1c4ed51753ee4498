package certfile_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/certfile"
)

// issue makes a certificate with a serial number, signed by its own key, both in PEM.
func issue(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// site is a TLS server with a certificate from files, and a clock of its own.
type site struct {
	t         *testing.T
	cert, key string // the files
	addr      string

	mu     sync.Mutex
	clock  time.Time
	failed []string
}

func newSite(t *testing.T, cert, key string) *site {
	t.Helper()
	s := &site{t: t, cert: cert, key: key, clock: time.Now()}
	c, err := certfile.New(cert, key, &certfile.Options{Error: func(_ context.Context, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.failed = append(s.failed, err.Error())
	}})
	require.NoError(t, err)
	c.SetNow(func() time.Time {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.clock
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = listener.Addr().String()
	server := &http.Server{TLSConfig: c.TLSConfig(), ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return s
}

// write replaces a file as tools for certificates do: by renaming another one over it.
func write(t *testing.T, path string, content []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", content, 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

// pass advances the clock by the interval after which the files are checked.
func (s *site) pass() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.Add(certfile.Interval)
}

// serial is the serial number of the certificate that a new connection gets.
func (s *site) serial() int64 {
	s.t.Helper()
	conn, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true})
	require.NoError(s.t, err)
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// failures are those that were reported since the last call.
func (s *site) failures() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.failed
	s.failed = nil
	return list
}

func newFiles(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	cert, key := issue(t, 1)
	write(t, certFile, cert)
	write(t, keyFile, key)
	return certFile, keyFile
}

func TestCertificateRenewedServed(t *testing.T) {
	certFile, keyFile := newFiles(t)
	s := newSite(t, certFile, keyFile)
	require.EqualValues(t, 1, s.serial())

	// One file after the other is renamed over the old one: in between, they do not belong
	// together.
	cert, key := issue(t, 2)
	write(t, certFile, cert)
	s.pass()
	require.EqualValues(t, 1, s.serial())
	write(t, keyFile, key)
	require.EqualValues(t, 1, s.serial(), "looked at a moment ago")
	s.pass()
	require.EqualValues(t, 2, s.serial())
	require.LessOrEqual(t, len(s.failures()), 1)

	// Written in place, with the times and the length kept.
	before, err := os.Stat(certFile)
	require.NoError(t, err)
	cert, key = issue(t, 3)
	require.NoError(t, os.WriteFile(certFile, cert, 0o600))
	require.NoError(t, os.WriteFile(keyFile, key, 0o600))
	for _, path := range []string{certFile, keyFile} {
		require.NoError(t, os.Chtimes(path, before.ModTime(), before.ModTime()))
	}
	s.pass()
	require.EqualValues(t, 3, s.serial())
	require.Empty(t, s.failures())
}

// TestCertificateSymlinkSwapped arranges the files as a kubelet does: links to links into a folder
// that is replaced.
func TestCertificateSymlinkSwapped(t *testing.T) {
	dir := t.TempDir()
	put := func(folder string, serial int64) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, folder), 0o700))
		cert, key := issue(t, serial)
		write(t, filepath.Join(dir, folder, "tls.crt"), cert)
		write(t, filepath.Join(dir, folder, "tls.key"), key)
		require.NoError(t, os.Symlink(folder, filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	put("..2026_1", 1)
	for _, name := range []string{"tls.crt", "tls.key"} {
		require.NoError(t, os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
	}
	s := newSite(t, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	require.EqualValues(t, 1, s.serial())
	put("..2026_2", 2)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "..2026_1")))
	s.pass()
	require.EqualValues(t, 2, s.serial())
	require.Empty(t, s.failures())
}

func TestCertificateBrokenOldStays(t *testing.T) {
	certFile, keyFile := newFiles(t)
	s := newSite(t, certFile, keyFile)
	good, err := os.ReadFile(certFile)
	require.NoError(t, err)
	_, otherKey := issue(t, 2)
	other, _ := issue(t, 3)
	for name, spoil := range map[string]func(){
		"no certificate":      func() { write(t, certFile, []byte("not PEM")) },
		"empty":               func() { write(t, certFile, nil) },
		"half of it":          func() { write(t, certFile, good[:len(good)/2]) },
		"another certificate": func() { write(t, certFile, other) },
		"too long":            func() { write(t, certFile, make([]byte, certfile.MaxSize+1)) },
		"gone":                func() { require.NoError(t, os.Remove(certFile)) },
		"a folder": func() {
			require.NoError(t, os.Remove(certFile))
			require.NoError(t, os.Mkdir(certFile, 0o700))
		},
		"a key as certificate": func() { write(t, certFile, otherKey) },
	} {
		spoil()
		for range 3 {
			s.pass()
			require.EqualValues(t, 1, s.serial(), name)
		}
		require.Len(t, s.failures(), 1, "%s: reported once", name)
		require.NoError(t, os.RemoveAll(certFile))
		write(t, certFile, good)
		s.pass()
		require.EqualValues(t, 1, s.serial(), name)
		require.Empty(t, s.failures(), name)
	}
	// It is reported again when it happens again.
	for range 2 {
		write(t, certFile, []byte("not PEM"))
		s.pass()
		require.EqualValues(t, 1, s.serial())
		require.Len(t, s.failures(), 1)
		write(t, certFile, good)
		s.pass()
		require.EqualValues(t, 1, s.serial())
	}
}

func TestNewUnusableFilesFail(t *testing.T) {
	certFile, keyFile := newFiles(t)
	_, otherKey := issue(t, 2)
	other := filepath.Join(t.TempDir(), "other")
	write(t, other, otherKey)
	for _, files := range [][2]string{{"", ""}, {certFile, "none"}, {"none", keyFile}, {keyFile, certFile},
		{certFile, other}, {t.TempDir(), keyFile}} {
		_, err := certfile.New(files[0], files[1], nil)
		require.Error(t, err, files)
	}
	_, err := certfile.New(certFile, keyFile, nil)
	require.NoError(t, err)
}

// TestCertificateManyHandshakes renews under many concurrent handshakes: none fails, and none
// leaves a goroutine.
func TestCertificateManyHandshakes(t *testing.T) {
	certFile, keyFile := newFiles(t)
	s := newSite(t, certFile, keyFile)
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				s.pass()
				s.serial()
			}
		})
	}
	for serial := range int64(10) {
		cert, key := issue(t, serial+1)
		write(t, certFile, cert)
		write(t, keyFile, key)
	}
	wg.Wait()
	s.pass()
	require.EqualValues(t, 10, s.serial())
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, time.Minute, 10*time.Millisecond)
}

func TestTLSConfigOldVersionsRefused(t *testing.T) {
	certFile, keyFile := newFiles(t)
	s := newSite(t, certFile, keyFile)
	_, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10,
		MaxVersion: tls.VersionTLS11})
	require.Error(t, err)
}
