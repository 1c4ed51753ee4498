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

	"github.com/registrykit/registry"
)

// maxRedirects is how many redirects of one request are followed.
const maxRedirects = 5

// request is one request, and those that redirects make of it.
type request struct {
	method string
	url    *url.URL
	header http.Header // without credentials

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

// send sends a request and returns the response, whatever its status, except that redirects are followed.
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
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		default:
			return res, nil
		}
		drop(res)
		next, err := u.Parse(location)
		switch {
		case location == "", err != nil:
			return nil, fmt.Errorf("client: %s: a redirect to nowhere", describe(r.method, u))
		case r.method != http.MethodGet && r.method != http.MethodHead:
			return nil, fmt.Errorf("client: %s: a redirect of a request that is not repeated", describe(r.method, u))
		case next.Scheme != "https" && (next.Scheme != "http" || u.Scheme != "http"), next.Host == "", next.User != nil:
			return nil, fmt.Errorf("client: %s: a redirect to %s://%s", describe(r.method, u), next.Scheme, next.Host)
		}
		next.Fragment = ""
		u = next
	}
	return nil, fmt.Errorf("client: %s: too many redirects", describe(r.method, r.url))
}

// sendOnce sends a request to u, with credentials if u is of the registry.
func (c *Client) sendOnce(ctx context.Context, r *request, u *url.URL) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), nil)
	if err != nil {
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
	if c.opts.Authorize != nil && c.ours(u) {
		if err := c.opts.Authorize(req); err != nil {
			return nil, fmt.Errorf("client: credentials: %w", err)
		}
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, registry.ErrUnavailable.WithCause(fmt.Errorf("client: %s: %w", describe(r.method, u), bare(err)))
	}
	return res, nil
}

// describe names a request without its query, which may be a secret.
func describe(method string, u *url.URL) string { return method + " " + u.Host + u.Path }

// bare is err without the URL that package net/http puts around it.
func bare(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// expect sends a request and returns the response if it has one of the statuses. Otherwise it is an error; notFound is the one
// that status 404 means.
func (c *Client) expect(ctx context.Context, r *request, notFound *registry.Error, statuses ...int) (*http.Response, error) {
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
	return nil, c.failure(r, res, notFound)
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

// drop closes a response that is of no interest any more. A little of it is read, so that the connection can be used again.
func drop(res *http.Response) {
	_, _ = io.CopyN(io.Discard, res.Body, 4<<10)
	_ = res.Body.Close()
}

// readAll reads a response of at most limit bytes and closes it.
//
// Errors: ErrTooLarge.
func readAll(res *http.Response, limit int64) ([]byte, error) {
	defer drop(res)
	if res.ContentLength > limit {
		return nil, ErrTooLarge
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return nil, registry.ErrUnavailable.WithCause(fmt.Errorf("client: reading a response: %w", err))
	case int64(len(b)) > limit:
		return nil, ErrTooLarge
	}
	return b, nil
}

// location returns the Location of an upload, which must be of the registry.
func (c *Client) location(from *url.URL, h http.Header) (*url.URL, error) {
	u, err := from.Parse(h.Get("Location"))
	if err != nil || h.Get("Location") == "" || !c.ours(u) || !strings.HasPrefix(u.Path, c.base.Path+"/") {
		return nil, errors.New("client: an upload has no Location at the registry")
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}
