package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/registrykit/registry/api/types"
)

// maxResponse is the maximum size of a response, in bytes. Exports and plans are streamed, and have no limit.
const maxResponse = 64 << 20

// Version is the version of an object: its ETag.
type Version string

// AnyVersion matches every version of an object.
const AnyVersion Version = "*"

// path returns a path below /v1 whose segments are escaped once.
func path(segments ...string) string {
	var b strings.Builder
	b.WriteString("/v1")
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// call is one request.
type call struct {
	method, path string
	query        url.Values
	version      Version // sent as If-Match unless it is ""
	absent       bool    // the object must not exist: If-None-Match
	in           any     // becomes the JSON body, unless it is nil
	body         io.Reader
	contentType  string
}

// send sends a request. The caller closes the body of the response.
//
// Errors: *Error for a status of 300 or more; an error of the transport.
func (c *Client) send(ctx context.Context, k call) (*http.Response, error) {
	if k.in != nil {
		b, err := json.Marshal(k.in)
		if err != nil {
			return nil, fmt.Errorf("client: %w", err)
		}
		k.body, k.contentType = bytes.NewReader(b), "application/json"
	}
	target := c.base.String() + k.path
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, k.method, target, k.body)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	r.Header.Set("User-Agent", c.opts.UserAgent)
	r.Header.Set("Accept", "application/json, application/problem+json")
	if k.contentType != "" {
		r.Header.Set("Content-Type", k.contentType)
	}
	if k.version != "" {
		r.Header.Set("If-Match", string(k.version))
	}
	if k.absent {
		r.Header.Set("If-None-Match", "*")
	}
	switch {
	case c.opts.Session != "":
		r.Header.Set("Authorization", "Bearer "+c.opts.Session.Value())
	case c.opts.Name != "":
		r.SetBasicAuth(c.opts.Name, c.opts.Secret.Value())
	}
	client := *c.http
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	var p types.Problem
	b, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	_ = json.Unmarshal(b, &p) // another server may have sent something else
	return nil, newError(res, p)
}

// do sends a request, and decodes the response into out unless it is nil.
func (c *Client) do(ctx context.Context, k call, out any) (Version, error) {
	res, err := c.send(ctx, k)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if out == nil {
		return "", nil
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxResponse+1))
	if err == nil && len(b) > maxResponse {
		err = fmt.Errorf("the response has more than %d bytes", maxResponse)
	}
	if err == nil {
		err = json.Unmarshal(b, out) // members that a later version adds are ignored
	}
	if err != nil {
		return "", fmt.Errorf("client: %s %s: %w", k.method, k.path, err)
	}
	return Version(res.Header.Get("ETag")), nil
}

// get reads an object.
func get[T any](ctx context.Context, c *Client, path string, query url.Values) (v T, version Version, err error) {
	version, err = c.do(ctx, call{method: http.MethodGet, path: path, query: query}, &v)
	return v, version, err
}

// change sends a change, and returns the object of the response.
func change[T any](ctx context.Context, c *Client, k call) (v T, version Version, err error) {
	version, err = c.do(ctx, k, &v)
	return v, version, err
}

// done sends a change whose response has no body.
func (c *Client) done(ctx context.Context, k call) error {
	_, err := c.do(ctx, k, nil)
	return err
}

// elements is the body of a page of a list.
type elements[T any] struct {
	Items []T `json:"items"`
}

// list yields the elements of a list, page by page.
func list[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		query := maps.Clone(query)
		if query == nil {
			query = url.Values{}
		}
		query.Set("limit", strconv.Itoa(c.opts.PageSize))
		if p := c.page; p != nil {
			p.startAt(query)
		}
		for {
			res, err := c.send(ctx, call{method: http.MethodGet, path: path, query: query})
			if err != nil {
				yield(zero, err)
				return
			}
			var p elements[T]
			err = json.NewDecoder(io.LimitReader(res.Body, maxResponse)).Decode(&p)
			res.Body.Close()
			if err != nil {
				yield(zero, fmt.Errorf("client: GET %s: %w", path, err))
				return
			}
			for _, v := range p.Items {
				if !yield(v, nil) {
					return
				}
			}
			after := nextCursor(res.Header)
			if c.page != nil {
				c.page.Next = after
				return
			}
			if after == "" {
				return
			}
			if after == query.Get("after") {
				yield(zero, fmt.Errorf("client: GET %s: the list does not end", path))
				return
			}
			query.Set("after", after)
		}
	}
}

// nextCursor returns the parameter after of the next page, or "". Only this parameter is taken from the header, so a
// response cannot direct the client to another server.
func nextCursor(h http.Header) string {
	target, rel, ok := strings.Cut(h.Get("Link"), ">")
	if !ok || !strings.Contains(rel, `rel="next"`) {
		return ""
	}
	u, err := url.Parse(strings.TrimPrefix(target, "<"))
	if err != nil {
		return ""
	}
	return u.Query().Get("after")
}
