package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/registrykit/registry"
)

const (
	// maxRedirects is how many redirects of one request are followed.
	maxRedirects = 5
	// dropTimeout is how long is waited for the rest of a response that nobody reads.
	dropTimeout = 100 * time.Millisecond
	// cleanupTimeout is how long is waited for what is to be found out or cleaned up after a
	// failure, also if that was the end of the context.
	cleanupTimeout = 10 * time.Second
)

// request is one request, and those that redirects make of it.
type request struct {
	method string
	url    *url.URL
	header http.Header // without credentials

	shown   string    // the path that errors show instead of that of the URL, unless ""
	stay    bool      // a redirect to another host is an error
	foreign bool      // a redirect has led to another host, so that no more credentials are sent
	content []byte    // the body, or
	body    io.Reader // the body, which is not closed,
	length  int64     // and its length
}

// url returns the URL of an endpoint. Names, tags and digests need no escape.
func (c *Client) url(path string, query url.Values) *url.URL {
	u := *c.base
	u.Path += "/v2/" + path
	u.RawQuery = query.Encode()
	return &u
}

// ours reports whether a URL is of the registry itself.
func (c *Client) ours(u *url.URL) bool {
	return u.Scheme == c.base.Scheme && u.User == nil && origin(u) == origin(c.base)
}

// origin is the host of a URL in one spelling.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + " " + port
}

// send sends a request and returns the response, whatever its status, except that redirects are
// followed. Once a redirect has led to another host, that host chooses what comes next: no later
// request of the chain has credentials, also if it is to the registry again.
//
// Errors: that of ctx; registry.ErrUnavailable.
func (c *Client) send(ctx context.Context, r *request) (*http.Response, error) {
	u := r.url
	for range maxRedirects + 1 {
		res, err := c.sendOnce(ctx, r, u)
		if err != nil {
			return nil, err
		}
		location := res.Header.Get("Location")
		switch res.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect,
			http.StatusPermanentRedirect:
		default:
			return res, nil
		}
		drop(res)
		next, err := u.Parse(location)
		switch {
		case location == "", err != nil:
			return nil, fmt.Errorf("client: %s: a redirect to nowhere", r.at(u))
		case r.method != http.MethodGet && r.method != http.MethodHead:
			return nil, fmt.Errorf("client: %s: a redirect of a request that is not repeated", r.at(u))
		case next.Scheme != "https" && (next.Scheme != "http" || u.Scheme != "http"), next.Host == "", next.User != nil:
			return nil, fmt.Errorf("client: %s: a redirect to %s://%s", r.at(u), next.Scheme, clean(next.Host, maxCodeSize))
		}
		next.Fragment = ""
		u = next
		if !c.ours(u) {
			r.foreign = true
		}
		if r.foreign && r.stay {
			return nil, fmt.Errorf("client: %s: a redirect of an upload to another host", r)
		}
	}
	return nil, fmt.Errorf("client: %s: too many redirects", r)
}

// sendOnce sends a request to u, with credentials if u is of the registry and no other host has led
// there.
func (c *Client) sendOnce(ctx context.Context, r *request, u *url.URL) (*http.Response, error) {
	within, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(within, r.method, u.String(), nil)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("client: %w", bare(err))
	}
	if r.header != nil {
		req.Header = r.header.Clone()
	}
	switch {
	case len(r.content) > 0:
		// It may be sent again, over another connection, if nothing of it was sent over the first.
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.content)), nil }
		req.Body, _ = req.GetBody()
		req.ContentLength = int64(len(r.content))
	case r.length > 0:
		req.Body, req.ContentLength = io.NopCloser(r.body), r.length
	}
	req.Header.Set("User-Agent", c.opts.UserAgent)
	req.Header.Set("Accept-Encoding", "identity") // the digest is that of the bytes as they are
	if c.opts.Authorize != nil && c.ours(u) && !r.foreign {
		if err := c.opts.Authorize(req); err != nil {
			cancel()
			return nil, fmt.Errorf("client: credentials: %w", err)
		}
	}
	res, err := c.http.Do(req)
	if err != nil {
		cancel()
		return nil, broken(ctx, r.at(u), err)
	}
	res.Body = &responseBody{ReadCloser: res.Body, cancel: cancel}
	return res, nil
}

// responseBody is the body of a response, whose request can be given up while it is read.
type responseBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements [io.Closer].
func (b *responseBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// giveUp gives up a response that is not closed within d. The caller calls stop when it is.
func giveUp(res *http.Response, d time.Duration) (stop func() bool) {
	return time.AfterFunc(d, res.Body.(*responseBody).cancel).Stop
}

// String names the request without its query, which may be a secret.
func (r *request) String() string { return r.at(r.url) }

// at names the request as it is sent to u.
func (r *request) at(u *url.URL) string {
	path := u.EscapedPath()
	if r.shown != "" {
		path = r.shown
	}
	return r.method + " " + u.Host + clean(path, maxMessageSize)
}

// broken is the error for a request, or the response to it, that has failed with err on its way.
//
// Errors: that of ctx; registry.ErrUnavailable.
func broken(ctx context.Context, request string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return registry.ErrUnavailable.WithCause(fmt.Errorf("client: %s: %w", request, &cleanError{bare(err)}))
}

// bare is err without the URL that package net/http puts around it.
func bare(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// expect sends a request and returns the response if it has one of the statuses. Otherwise it is an
// error; notFound is the one that status 404 means.
func (c *Client) expect(ctx context.Context, r *request, notFound *registry.Error, statuses ...int) (*http.Response,
	error) {
	res, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	for _, s := range statuses {
		if res.StatusCode == s {
			return res, nil
		}
	}
	defer drop(res)
	return nil, c.failure(ctx, r, res, notFound)
}

// call is expect for those who do not read the body.
func (c *Client) call(ctx context.Context, r *request, notFound *registry.Error, statuses ...int) (http.Header, error) {
	res, err := c.expect(ctx, r, notFound, statuses...)
	if err != nil {
		return nil, err
	}
	drop(res)
	return res.Header, nil
}

// drop closes a response that is of no interest any more. A little of it is read, for a little
// while, so that the connection can be used again.
func drop(res *http.Response) {
	defer giveUp(res, dropTimeout)()
	_, _ = io.CopyN(io.Discard, res.Body, 4<<10)
	_ = res.Body.Close()
}

// limited reads what may be read of a response.
type limited struct {
	ctx     context.Context
	request string
	r       io.Reader
	left    int64 // bytes
}

// limit returns the body of the response to r, of which up to n bytes may be read.
func limit(ctx context.Context, r *request, res *http.Response, n int64) *limited {
	return &limited{ctx: ctx, request: r.String(), r: res.Body, left: n}
}

// Read implements [io.Reader].
//
// Errors: ErrTooLarge; that of the context; registry.ErrUnavailable.
func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, ErrTooLarge
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left+1)])
	if l.left -= int64(n); l.left < 0 {
		return 0, ErrTooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = broken(l.ctx, l.request, err)
	}
	return n, err
}

// readAll reads a response of at most n bytes and closes it.
//
// Errors: those of limited.Read.
func readAll(ctx context.Context, r *request, res *http.Response, n int64) ([]byte, error) {
	defer drop(res)
	if res.ContentLength > n {
		return nil, ErrTooLarge
	}
	return io.ReadAll(limit(ctx, r, res, n))
}

// location returns the Location of an upload, which must be of the registry.
func (c *Client) location(from *url.URL, h http.Header) (*url.URL, error) {
	u, err := from.Parse(h.Get("Location"))
	switch {
	case err != nil || h.Get("Location") == "" || !c.mayBeUpload(u):
		return nil, errors.New("client: an upload has no Location at the registry")
	case len(u.RequestURI()) > maxLocation:
		return nil, errors.New("client: the Location of an upload is too long")
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// mayBeUpload reports whether a URL is of the registry and below its path, also for a server that
// decodes the path before it looks for what climbs.
func (c *Client) mayBeUpload(u *url.URL) bool {
	path := u.Path
	for range 3 { // %252e is %2e to whoever decodes twice
		for part := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
			if part == "." || part == ".." {
				return false
			}
		}
		decoded, err := url.PathUnescape(path)
		if err != nil {
			break
		}
		path = decoded
	}
	return c.ours(u) && strings.HasPrefix(u.Path, c.base.Path+"/")
}
