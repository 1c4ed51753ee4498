package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry"
)

const (
	// maxRedirects is the maximum number of redirects of one request.
	maxRedirects = 5
	// dropTimeout is the maximum time to drain a response that is not needed.
	dropTimeout = 100 * time.Millisecond
	// cleanupTimeout is the maximum time for requests that clean up, or find out the state, after a
	// failure. It applies even if the context has ended.
	cleanupTimeout = 10 * time.Second
)

// request is a request together with the requests that its redirects cause.
type request struct {
	method string
	url    *url.URL
	header http.Header // without credentials

	shown   string // the path to show in errors instead of that of url, if not ""
	stay    bool   // if true, a redirect to another host is an error
	foreign bool   // set after a redirect to another host: no more credentials are sent
	// redirect is the last redirect, or nil. It becomes the Response of the http.Request.
	redirect *http.Response
	// answered is set when Options.Challenge has been called. The request is not repeated again.
	answered bool
	content  []byte    // the body; or else
	body     io.Reader // the body, which the request does not close,
	length   int64     // and its length in bytes
}

// url returns the URL of an endpoint. Valid names, tags and digests need no escaping.
func (c *Client) url(path string, query url.Values) *url.URL {
	u := *c.base
	u.Path += "/v2/" + path
	u.RawQuery = query.Encode()
	return &u
}

// ours reports whether u is at the scheme and host of the registry.
func (c *Client) ours(u *url.URL) bool {
	return u.Scheme == c.base.Scheme && u.User == nil && origin(u) == origin(c.base)
}

// origin returns the host and port of u in normalized form.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + " " + port
}

// send sends a request, follows redirects, and returns the response whatever its status. Once a
// redirect has led to another host, that host controls the rest of the chain. Therefore no later
// request of the chain carries credentials, not even one to the registry.
//
// Errors: that of ctx; registry.ErrUnavailable; ErrTooLarge; those of Authorize and Challenge.
func (c *Client) send(ctx context.Context, r *request) (*http.Response, error) {
	u := r.url
	for range maxRedirects + 1 {
		res, err := c.sendOnce(ctx, r, u)
		if err == nil {
			res, err = c.answer(ctx, r, u, res)
		}
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
			return nil, fmt.Errorf("client: %s: redirect to an invalid Location", r.at(u))
		case r.method != http.MethodGet && r.method != http.MethodHead:
			return nil, fmt.Errorf("client: %s: redirect of a request that is neither GET nor HEAD", r.at(u))
		case next.Scheme != "https" && (next.Scheme != "http" || u.Scheme != "http"), next.Host == "", next.User != nil:
			return nil, fmt.Errorf("client: %s: redirect to %s://%s is not followed", r.at(u), next.Scheme,
				clean(next.Host, maxCodeSize))
		}
		next.Fragment = ""
		u, r.redirect = next, res
		if !c.ours(u) {
			r.foreign = true
		}
		if r.foreign && r.stay {
			return nil, fmt.Errorf("client: %s: redirect of an upload to another host", r)
		}
	}
	return nil, fmt.Errorf("client: %s: too many redirects", r)
}

// authorizes reports whether a request to u carries credentials: u is at the registry, and no other
// host is part of the chain.
func (c *Client) authorizes(r *request, u *url.URL) bool {
	return c.opts.Authorize != nil && c.ours(u) && !r.foreign
}

// sendOnce sends a request to u.
func (c *Client) sendOnce(ctx context.Context, r *request, u *url.URL) (*http.Response, error) {
	within, cancel := context.WithCancel(ctx)
	req, err := c.httpRequest(within, r, u)
	if err != nil {
		cancel()
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		cancel()
		return nil, broken(ctx, r.at(u), err)
	}
	res.Request = req
	res.Body = &responseBody{ReadCloser: res.Body, cancel: cancel}
	if headerSize(res.Header) > maxHeaderSize {
		_ = res.Body.Close()
		return nil, fmt.Errorf("client: %s: headers: %w", r.at(u), ErrTooLarge)
	}
	if c.opts.Observe != nil && c.ours(u) {
		c.opts.Observe(res)
	}
	return res, nil
}

// httpRequest returns the request to u, with credentials if it carries any.
func (c *Client) httpRequest(ctx context.Context, r *request, u *url.URL) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("client: %w", bare(err))
	}
	req.Response = r.redirect
	if r.header != nil {
		req.Header = r.header.Clone()
	}
	switch {
	case len(r.content) > 0:
		// If a connection breaks before anything is sent, net/http sends the body over another one.
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.content)), nil }
		req.Body, _ = req.GetBody()
		req.ContentLength = int64(len(r.content))
	case r.length > 0:
		req.Body, req.ContentLength = io.NopCloser(r.body), r.length
	}
	req.Header.Set("User-Agent", c.opts.UserAgent)
	req.Header.Set("Accept-Encoding", "identity") // the digest is that of the unencoded bytes
	if c.ours(u) {
		for key, values := range c.opts.Header {
			if req.Header[key] == nil {
				req.Header[key] = slices.Clone(values)
			}
		}
	}
	if c.authorizes(r, u) {
		if err := c.opts.Authorize(req); err != nil {
			return nil, fmt.Errorf("client: adding credentials: %w", err)
		}
	}
	return req, nil
}

// answer calls Options.Challenge for a response of 401 or 403 to a request with credentials. It
// returns the response to the repeated request, or else res, whose body can still be read. A request
// is repeated at most once. Challenge also learns when the repeated one is refused.
func (c *Client) answer(ctx context.Context, r *request, u *url.URL, res *http.Response) (*http.Response, error) {
	if res.StatusCode != http.StatusUnauthorized && res.StatusCode != http.StatusForbidden ||
		c.opts.Challenge == nil || !c.authorizes(r, u) {
		return res, nil
	}
	repeated := r.answered
	r.answered = true
	// The connection must be free while Challenge contacts a token service.
	stop := giveUp(res, cleanupTimeout)
	content, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorSize+1)) // what came counts
	drop(res)
	stop()
	res.Body = kept(content)
	seen := *res
	seen.Request = res.Request.WithContext(ctx)
	seen.Body = kept(content[:min(len(content), maxErrorSize)])
	retry, err := c.opts.Challenge(&seen)
	switch {
	case err != nil:
		return nil, fmt.Errorf("client: %s: answering a challenge: %w", r.at(u), err)
	case !retry || repeated || r.length > 0 && len(r.content) == 0:
		return res, nil
	}
	if res, err = c.sendOnce(ctx, r, u); err != nil {
		return nil, err
	}
	return c.answer(ctx, r, u, res)
}

// kept returns a response body of bytes that have been read already.
func kept(content []byte) *responseBody {
	return &responseBody{ReadCloser: io.NopCloser(bytes.NewReader(content)), cancel: func() {}}
}

// maxHeaderSize is the maximum size of the headers of a response, in bytes.
const maxHeaderSize = 1 << 20

// headerSize returns the size of h in bytes, as in HTTP/1.1.
func headerSize(h http.Header) (n int) {
	for key, values := range h {
		for _, v := range values {
			n += len(key) + len(v) + len(": \r\n")
		}
	}
	return n
}

// responseBody is the body of a response. Its cancel ends the request while the body is being read.
type responseBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements [io.Closer].
func (b *responseBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// giveUp cancels a response that is not closed within d. The caller must call stop after closing
// it.
func giveUp(res *http.Response, d time.Duration) (stop func() bool) {
	return time.AfterFunc(d, res.Body.(*responseBody).cancel).Stop
}

// String returns the method and URL of the request without its query, which may be secret.
func (r *request) String() string { return r.at(r.url) }

// at is String for a request that was redirected to u.
func (r *request) at(u *url.URL) string {
	path := u.EscapedPath()
	if r.shown != "" {
		path = r.shown
	}
	return r.method + " " + u.Host + clean(path, maxMessageSize)
}

// broken returns the error for a request or response that failed in transit with err.
//
// Errors: that of ctx; registry.ErrUnavailable.
func broken(ctx context.Context, request string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return registry.ErrUnavailable.WithCause(fmt.Errorf("client: %s: %w", request, &cleanError{bare(err)}))
}

// bare removes the URL that package net/http adds to an error.
func bare(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// expect sends a request and returns the response if it has one of the statuses. Any other status
// is an error. A status of 404 or 410 means notFound.
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

// call is like expect, for callers that do not need the body.
func (c *Client) call(ctx context.Context, r *request, notFound *registry.Error, statuses ...int) (http.Header, error) {
	res, err := c.expect(ctx, r, notFound, statuses...)
	if err != nil {
		return nil, err
	}
	drop(res)
	return res.Header, nil
}

// drop closes a response that is not needed. It first drains a few bytes for a short time, so that
// the connection can be reused.
func drop(res *http.Response) {
	defer giveUp(res, dropTimeout)()
	_, _ = io.CopyN(io.Discard, res.Body, 4<<10)
	_ = res.Body.Close()
}

// limited reads up to left bytes of a response.
type limited struct {
	ctx     context.Context
	request string
	r       io.Reader
	left    int64 // in bytes; negative if the response was too large
}

// limit returns a reader of up to n bytes of the response to r.
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

// location returns the Location of an upload.
//
// Errors: one if the URL is missing, not at the registry, or too long for an upload id.
func (c *Client) location(from *url.URL, h http.Header) (*url.URL, error) {
	u, err := from.Parse(h.Get("Location"))
	switch {
	case err != nil || h.Get("Location") == "" || !c.mayBeUpload(u):
		return nil, errors.New("client: the upload has no Location at the registry")
	case len(u.RequestURI()) > maxLocation:
		return nil, errors.New("client: the Location of the upload is too long")
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// mayBeUpload reports whether u is at the registry and below its path. It decodes the path
// repeatedly, because a server may do so before it resolves "..".
func (c *Client) mayBeUpload(u *url.URL) bool {
	path := u.Path
	for range 3 { // %252e becomes %2e, then "."
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
