package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Client sends the requests of the distribution spec one by one, so that a test controls their
// order and can inject failures.
type Client struct {
	Base  string        // URL of the registry, without a path
	Route func() string // if not nil, returns the base URL of each request, like a load balancer
	HTTP  *http.Client
}

// NewClient returns a client that shares no connections with other clients.
func NewClient(base string) *Client {
	return &Client{Base: base, HTTP: &http.Client{
		Timeout:   10 * time.Minute,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	}}
}

// Accept returns a header that accepts every type of manifest. Without it, some registries respond
// 404 or convert the manifest.
func Accept() http.Header {
	return http.Header{"Accept": {strings.Join([]string{
		"application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json",
		"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json",
	}, ", ")}}
}

// Response is a response whose body has been read.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Location returns the header Location. It may be relative to Base.
func (r *Response) Location() string { return r.Header.Get("Location") }

// Error is returned for a response with an unexpected status.
type Error struct {
	Method, URL string
	Response    *Response
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s %s: %d %.300s", e.Method, e.URL, e.Response.Status, e.Response.Body)
}

// Send sends a request to a path of the registry, or to an absolute URL. The length -1 means
// chunked encoding.
func (c *Client) Send(ctx context.Context, method, target string, header http.Header, body io.Reader,
	length int64) (*http.Response, error) {
	if strings.HasPrefix(target, "/") {
		base := c.Base
		if c.Route != nil {
			base = c.Route()
		}
		target = base + target
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header
	}
	if body != nil {
		req.ContentLength = length
	}
	return c.HTTP.Do(req)
}

// Do sends a request like Send and reads the whole response. If its status is not want, Do returns
// an *Error and the response.
func (c *Client) Do(ctx context.Context, want int, method, target string, header http.Header, body []byte) (*Response,
	error) {
	resp, err := c.Send(ctx, method, target, header, bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return nil, err
	}
	return read(resp, want)
}

func read(resp *http.Response, want int) (*Response, error) {
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	r := &Response{Status: resp.StatusCode, Header: resp.Header, Body: b}
	if r.Status != want {
		return r, &Error{Method: resp.Request.Method, URL: resp.Request.URL.String(), Response: r}
	}
	return r, nil
}

// Begin starts an upload and returns its location.
func (c *Client) Begin(ctx context.Context, repo string) (string, error) {
	r, err := c.Do(ctx, http.StatusAccepted, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil, nil)
	if err != nil {
		return "", err
	}
	return r.Location(), nil
}

// Patch appends a chunk at an offset and returns the next location.
func (c *Client) Patch(ctx context.Context, location string, offset int64, chunk []byte) (string, error) {
	header := http.Header{
		"Content-Type":  {"application/octet-stream"},
		"Content-Range": {fmt.Sprintf("%d-%d", offset, offset+int64(len(chunk))-1)},
	}
	r, err := c.Do(ctx, http.StatusAccepted, http.MethodPatch, location, header, chunk)
	if err != nil {
		return "", err
	}
	return r.Location(), nil
}

// Offset returns the number of bytes of an upload that have arrived, and the location for the next
// request.
func (c *Client) Offset(ctx context.Context, location string) (int64, string, error) {
	r, err := c.Do(ctx, http.StatusNoContent, http.MethodGet, location, nil, nil)
	if err != nil {
		return 0, "", err
	}
	var last int64
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "0-%d", &last); err != nil {
		return 0, "", fmt.Errorf("header Range %q: %w", r.Header.Get("Range"), err)
	}
	if last > 0 {
		last++ // "0-0" also means no bytes: the spec has no other form for it
	}
	if next := r.Location(); next != "" {
		location = next
	}
	return last, location, nil
}

// Commit finishes an upload. rest holds its remaining bytes, or is nil.
func (c *Client) Commit(ctx context.Context, location string, d digest.Digest, rest io.Reader, length int64) error {
	resp, err := c.Send(ctx, http.MethodPut, WithQuery(location, "digest", d.String()),
		http.Header{"Content-Type": {"application/octet-stream"}}, rest, length)
	if err != nil {
		return err
	}
	_, err = read(resp, http.StatusCreated)
	return err
}

// PushBlob pushes content in two requests.
func (c *Client) PushBlob(ctx context.Context, repo string, content []byte) (digest.Digest, error) {
	d := digest.FromBytes(content)
	return d, c.PushStream(ctx, repo, d, bytes.NewReader(content), int64(len(content)))
}

// PushAsDocker pushes the content of r in the way of docker: POST, one PATCH of unknown length, and
// an empty PUT.
func (c *Client) PushAsDocker(ctx context.Context, repo string, d digest.Digest, r io.Reader) error {
	location, err := c.Begin(ctx, repo)
	if err != nil {
		return err
	}
	resp, err := c.Send(ctx, http.MethodPatch, location, nil, io.NopCloser(r), -1)
	if err != nil {
		return err
	}
	patched, err := read(resp, http.StatusAccepted)
	if err != nil {
		return err
	}
	return c.Commit(ctx, patched.Location(), d, nil, 0)
}

// PushStream pushes the content of r in two requests.
func (c *Client) PushStream(ctx context.Context, repo string, d digest.Digest, r io.Reader, length int64) error {
	location, err := c.Begin(ctx, repo)
	if err != nil {
		return err
	}
	return c.Commit(ctx, location, d, r, length)
}

// PullBlob reads a blob and compares its digest.
func (c *Client) PullBlob(ctx context.Context, repo string, d digest.Digest) error {
	return c.pull(ctx, "/v2/"+repo+"/blobs/"+d.String(), d)
}

// PullManifest reads a manifest and compares its digest.
func (c *Client) PullManifest(ctx context.Context, repo, ref string, d digest.Digest) error {
	return c.pull(ctx, "/v2/"+repo+"/manifests/"+ref, d)
}

func (c *Client) pull(ctx context.Context, path string, d digest.Digest) error {
	resp, err := c.Send(ctx, http.MethodGet, path, Accept(), nil, 0)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		_, err = read(resp, http.StatusOK)
		return err
	}
	defer resp.Body.Close()
	verifier := d.Verifier()
	n, err := io.Copy(verifier, resp.Body)
	if err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	if !verifier.Verified() {
		return fmt.Errorf("GET %s: %d bytes that have another digest", path, n)
	}
	return nil
}

// PutManifest pushes a manifest by tag or digest.
func (c *Client) PutManifest(ctx context.Context, repo, ref, mediaType string, content []byte) error {
	_, err := c.Do(ctx, http.StatusCreated, http.MethodPut, "/v2/"+repo+"/manifests/"+ref,
		http.Header{"Content-Type": {mediaType}}, content)
	return err
}

// Has sends a HEAD request and reports whether the target exists.
func (c *Client) Has(ctx context.Context, target string) (bool, error) {
	r, err := c.Do(ctx, http.StatusOK, http.MethodHead, target, Accept(), nil)
	if r != nil && r.Status == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

// Delete deletes a manifest, tag or blob.
func (c *Client) Delete(ctx context.Context, target string) error {
	_, err := c.Do(ctx, http.StatusAccepted, http.MethodDelete, target, nil, nil)
	return err
}

// Mount mounts a blob of the repository from. If from does not have the blob, Mount returns the
// location of an upload.
func (c *Client) Mount(ctx context.Context, repo string, d digest.Digest, from string) (string, error) {
	r, err := c.Do(ctx, http.StatusCreated, http.MethodPost,
		"/v2/"+repo+"/blobs/uploads/?mount="+d.String()+"&from="+from, nil, nil)
	if r != nil && r.Status == http.StatusAccepted {
		return r.Location(), nil
	}
	return "", err
}

// Tags lists all tags, page by page.
func (c *Client) Tags(ctx context.Context, repo string) ([]string, error) {
	var all []string
	err := c.pages(ctx, "/v2/"+repo+"/tags/list", func(body []byte) error {
		var page struct{ Tags []string }
		err := json.Unmarshal(body, &page)
		all = append(all, page.Tags...)
		return err
	})
	return all, err
}

// Referrers lists the digests of all referrers, page by page.
func (c *Client) Referrers(ctx context.Context, repo string, d digest.Digest) ([]digest.Digest, error) {
	var all []digest.Digest
	err := c.pages(ctx, "/v2/"+repo+"/referrers/"+d.String(), func(body []byte) error {
		var page imagespec.Index
		err := json.Unmarshal(body, &page)
		for _, m := range page.Manifests {
			all = append(all, m.Digest)
		}
		return err
	})
	return all, err
}

// pages calls f with the body of the page at next and of every page after it.
func (c *Client) pages(ctx context.Context, next string, f func(body []byte) error) error {
	for next != "" {
		r, err := c.Do(ctx, http.StatusOK, http.MethodGet, next, nil, nil)
		if err != nil {
			return err
		}
		if err := f(r.Body); err != nil {
			return err
		}
		if next, err = c.Next(r); err != nil {
			return err
		}
	}
	return nil
}

// Next returns the URL of the next page, or "".
func (c *Client) Next(r *Response) (string, error) {
	link := r.Header.Get("Link")
	if link == "" {
		return "", nil
	}
	target, _, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if !ok {
		return "", fmt.Errorf("header Link %q", link)
	}
	base, err := url.Parse(c.Base)
	if err != nil {
		return "", err
	}
	u, err := base.Parse(target)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// WithQuery adds a parameter to a location.
func WithQuery(location, key, value string) string {
	sep := "?"
	if strings.Contains(location, "?") {
		sep = "&"
	}
	return location + sep + key + "=" + url.QueryEscape(value)
}
