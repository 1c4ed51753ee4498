// Package certfile serves a TLS certificate from two files that may be renewed while the server
// runs.
//
//	cert, err := certfile.New("tls.crt", "tls.key", nil)
//	if err != nil {
//		return err
//	}
//	server.TLSConfig = cert.TLSConfig()
//	return server.ListenAndServeTLS("", "")
//
// New files take effect at the next handshake, at most a second later. They may be renamed over the
// old files, written in place, or selected by a symbolic link that now leads elsewhere, as a
// kubelet does. Open connections keep their certificate. The package starts no goroutine:
// handshakes check the files.
package certfile

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Interval is the minimum time between two checks of the files.
	Interval = time.Second
	// MaxSize is the maximum size of each file, in bytes.
	MaxSize = 1 << 20
)

// Options are the options of [New]. nil is the zero Options.
type Options struct {
	// Error is called once for each new reason why the files cannot be used. The certificate that
	// was read before stays in use, and the files are checked again after Interval. A renewal that
	// replaces one file after the other may also be reported, if a handshake sees it half done.
	// Default: failures are ignored.
	Error func(ctx context.Context, err error)
}

// Certificate is a certificate and key that are read from files. It is safe for concurrent use.
type Certificate struct {
	certFile, keyFile string
	fail              func(ctx context.Context, err error)
	now               func() time.Time

	current atomic.Pointer[tls.Certificate]
	next    atomic.Int64 // when to check the files again, in nanoseconds since 1970

	mu        sync.Mutex // held to check the files
	cert, key []byte     // of current
	failed    string     // the failure that was reported last; "" if the last check succeeded
}

// New reads a certificate, followed by those of its intermediate authorities, and its key, all in
// PEM. opts may be nil.
//
// It returns an error if a file cannot be read, is not a regular file or is longer than MaxSize, or
// if certificate and key do not belong together.
func New(certFile, keyFile string, opts *Options) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, fail: func(context.Context, error) {}, now: time.Now}
	if opts != nil && opts.Error != nil {
		c.fail = opts.Error
	}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// TLSConfig returns a configuration for a server that presents the certificate to clients with TLS
// 1.2 or later. The caller may modify it.
func (c *Certificate) TLSConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.GetCertificate}
}

// GetCertificate returns the certificate in the files, or the previous one if the files are
// unusable. It is for [tls.Config], and always returns a nil error. One handshake at a time checks
// the files; the others do not wait for it.
func (c *Certificate) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.due() && c.mu.TryLock() {
		defer c.mu.Unlock()
		if c.due() {
			c.refresh(hello.Context())
		}
	}
	return c.current.Load(), nil
}

// due reports whether it is time to check the files. It handles a clock that was set back.
func (c *Certificate) due() bool {
	left := time.Duration(c.next.Load() - c.now().UnixNano())
	return left <= 0 || left > Interval
}

// refresh reads the files again. It reports a failure unless the last report was the same.
// The caller holds mu.
func (c *Certificate) refresh(ctx context.Context) {
	err := c.load()
	c.next.Store(c.now().Add(Interval).UnixNano())
	switch {
	case err == nil:
		c.failed = ""
	case c.failed != err.Error():
		c.failed = err.Error()
		c.fail(ctx, err)
	}
}

// load reads the files, and parses the certificate if they have changed. It compares their content,
// because times and sizes do not show every change, and both files are small. The caller holds mu,
// or is the only one that knows c.
func (c *Certificate) load() error {
	cert, err := read(c.certFile)
	if err != nil {
		return err
	}
	key, err := read(c.keyFile)
	if err != nil {
		return err
	}
	if bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
		return nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("certfile: %s with %s: %w", c.certFile, c.keyFile, err)
	}
	c.current.Store(&pair)
	c.cert, c.key = cert, key
	return nil
}

func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("certfile: %w", err)
	}
	if !info.Mode().IsRegular() { // opening a pipe may block for ever
		return nil, fmt.Errorf("certfile: %s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("certfile: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("certfile: %w", err)
	}
	if len(content) > MaxSize {
		return nil, fmt.Errorf("certfile: %s is longer than %d bytes", path, MaxSize)
	}
	return content, nil
}
