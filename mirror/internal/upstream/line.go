package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"
)

// defaultTransport returns the transport of an upstream without one of its own.
func defaultTransport(opts *Options) http.RoundTripper {
	dialer := &net.Dialer{Timeout: opts.Timeout, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // digests are those of the unencoded bytes
		TLSHandshakeTimeout:    opts.Timeout,
		ResponseHeaderTimeout:  opts.Timeout,
		MaxIdleConns:           2 * opts.Requests,
		MaxIdleConnsPerHost:    opts.Requests,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		// A connection of HTTP/2 that is dead would otherwise serve, and fail, all requests.
		HTTP2: &http.HTTP2Config{SendPingTimeout: opts.Timeout, PingTimeout: opts.Timeout},
	}
}

// Reasons for which a line ends a request.
var (
	errTimeout = errors.New("upstream: the server sent no header in time")
	errIdle    = errors.New("upstream: the server sent nothing for too long")
	errFollows = errors.New("upstream: the server does not respond, as another request found out")
)

// line is the http.RoundTripper of an endpoint. It enforces limits and times, keeps the health of
// the servers, and counts.
type line struct {
	*shared
	endpoint *endpoint
	limit    *limit
	token    bool // whether the requests go to a token service
}

// attempt is a call of the client for one endpoint. Its requests have it in their context.
type attempt struct {
	kind  string // of the requests, for the counters
	via   string // the Via header
	began time.Time

	mu      sync.Mutex
	status  int     // of the last response
	foreign bool    // whether it came from another host, by a redirect
	failure string  // the kind of the failure of the last request, or ""
	server  *health // of the server that failed, or nil
}

type attemptKey struct{}

// set changes a under its lock. a may be nil.
func (a *attempt) set(change func()) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

// RoundTrip implements [http.RoundTripper].
func (l *line) RoundTrip(req *http.Request) (*http.Response, error) {
	a, _ := req.Context().Value(attemptKey{}).(*attempt)
	h, kind, ours := l.server(req, a)
	ctx, cancel := context.WithCancelCause(req.Context())
	f, err := h.begin(cancel)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	release, err := l.slot(ctx, a)
	if err != nil {
		h.leave(f)
		cancel(nil)
		return nil, l.failed(req, a, err)
	}
	if err := l.limit.check(l.opts.Name); err != nil { // a 429 has come while the request waited
		release()
		h.leave(f)
		cancel(nil)
		return nil, err
	}
	h.send(f)
	l.stats.request(req.Method + " " + kind)
	res, err := l.send(ctx, cancel, req, l.header(a, ours))
	if err != nil {
		release()
		l.judge(req, a, h, f, err)
		cancel(nil)
		return nil, l.failed(req, a, err)
	}
	l.see(res, a, h, f, ours)
	res.Body = newBody(ctx, cancel, res.Body, l.opts.Idle, release)
	return res, nil
}

// server returns the health of the server that a request goes to, the kind of the request for the
// counters, and whether the server is the registry itself.
func (l *line) server(req *http.Request, a *attempt) (*health, string, bool) {
	switch base := l.endpoint.base; {
	case l.token:
		return l.endpoint.token, "token", false
	case !strings.EqualFold(req.URL.Host, base.Host) || req.URL.Scheme != base.Scheme:
		return l.endpoint.storage, "redirect", false
	case a == nil:
		return l.endpoint.api, "other", true
	}
	return l.endpoint.api, a.kind, true
}

// slot waits until fewer than Options.Requests requests are in progress. An eighth of that is kept
// free of blobs, so that manifests do not wait for the end of large bodies. Requests for tokens are
// not limited: there is at most one for each Login and scope.
//
// Errors: the cause of the end of ctx.
func (l *line) slot(ctx context.Context, a *attempt) (release func(), err error) {
	if l.token {
		return func() {}, nil
	}
	var taken []chan struct{}
	release = sync.OnceFunc(func() {
		for _, c := range taken {
			<-c
		}
	})
	need := []chan struct{}{l.slots}
	if a != nil && a.kind == "blob" {
		need = []chan struct{}{l.blobSlots, l.slots}
	}
	for _, c := range need {
		select {
		case c <- struct{}{}:
			taken = append(taken, c)
		case <-ctx.Done():
			release()
			return nil, context.Cause(ctx)
		}
	}
	return release, nil
}

// header returns the Via header of a request, or "" for none.
func (l *line) header(a *attempt, ours bool) string {
	if !ours || l.opts.Via == "" {
		return ""
	}
	via := "1.1 " + l.opts.Via
	if a != nil && a.via != "" {
		via = a.via + ", " + via
	}
	return via
}

// send sends a request, and sends it once more if the connection breaks before the response: a
// server may close a connection that was idle at any time.
//
// Errors: errTimeout, and the other reasons for which ctx is cancelled; those of the transport.
func (l *line) send(ctx context.Context, cancel context.CancelCauseFunc, req *http.Request,
	via string) (*http.Response, error) {
	timer := time.AfterFunc(l.opts.Timeout, func() { cancel(errTimeout) })
	for again := req.Body == nil || req.Body == http.NoBody; ; again = false {
		out := req.Clone(ctx)
		if via != "" {
			out.Header.Set("Via", via)
		}
		res, err := l.opts.Transport.RoundTrip(out)
		if err != nil && again && isReset(err) && ctx.Err() == nil {
			continue
		}
		if !timer.Stop() && context.Cause(ctx) == errTimeout {
			if err == nil {
				_ = res.Body.Close()
			}
			return nil, errTimeout
		}
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return res, err
	}
}

// isReset reports whether a connection broke that had been established.
func isReset(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return false
	}
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// judge notes what a failed request says about the server.
func (l *line) judge(req *http.Request, a *attempt, h *health, f *flight, err error) {
	if req.Context().Err() != nil || errors.Is(err, errFollows) {
		h.leave(f) // the caller has given up, or the failure is noted already
		return
	}
	kind := kindOf(err)
	a.set(func() { a.failure, a.server = kind, h })
	if kind == "timeout" {
		err = errTimeout // also that of the transport itself
	}
	if h.fail(f, err, 0) {
		l.stats.failure(kind)
	}
}

// failed returns the error of a request that was not answered.
func (l *line) failed(req *http.Request, a *attempt, err error) error {
	if req.Context().Err() != nil {
		return err
	}
	a.set(func() {
		if a.failure == "" {
			a.failure = kindOf(err)
		}
	})
	return fmt.Errorf("upstream: %s: %w", l.opts.Name, err)
}

// see notes what a response says about the server.
func (l *line) see(res *http.Response, a *attempt, h *health, f *flight, ours bool) {
	a.set(func() { a.status, a.foreign = res.StatusCode, !ours && !l.token })
	if ours || l.token {
		l.limit.see(res)
		if res.StatusCode == http.StatusTooManyRequests {
			l.stats.failure("429")
		}
	}
	switch status := res.StatusCode; {
	case status == http.StatusBadGateway, status == http.StatusServiceUnavailable,
		status == http.StatusGatewayTimeout:
		wait, _ := retryAfter(res.Header)
		h.fail(f, nil, wait)
	case status >= 500 && status != http.StatusLoopDetected: // that is due to the request
		h.strike(f)
	default:
		h.answer(f)
		// If a token was to be renewed before, that may have failed, and the old one still serves.
		a.set(func() { a.failure, a.server = "", nil })
		return
	}
	l.stats.failure("5xx")
	a.set(func() { a.failure, a.server = "5xx", h })
}

// kindOf returns the kind of the failure of a connection, for the counters.
func kindOf(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.Is(err, errIdle):
		return "idle"
	case errors.As(err, &dns):
		return "dns"
	case errors.Is(err, errTimeout), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.As(err, &verification), errors.As(err, &record), errors.As(err, &alert),
		errors.As(err, &authority):
		return "tls"
	}
	return "connect"
}

// body is the body of a response. A Read that waits too long ends the request.
type body struct {
	io.ReadCloser
	ctx     context.Context // of the request
	cancel  context.CancelCauseFunc
	idle    time.Duration
	timer   *time.Timer // cancels ctx; it runs only during a Read
	release func()
}

func newBody(ctx context.Context, cancel context.CancelCauseFunc, b io.ReadCloser, idle time.Duration,
	release func()) *body {
	timer := time.AfterFunc(idle, func() { cancel(errIdle) })
	timer.Stop()
	return &body{ReadCloser: b, ctx: ctx, cancel: cancel, idle: idle, timer: timer, release: release}
}

// Read implements [io.Reader].
//
// Errors: errIdle; those of the connection.
func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(b.idle)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err == nil {
		return n, nil
	}
	if err == io.EOF {
		b.release() // the connection is free
	} else if cause := context.Cause(b.ctx); cause == errIdle {
		err = errIdle
	}
	return n, err
}

// Close implements [io.Closer]. It ends the request.
func (b *body) Close() error {
	defer b.release()
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}
