// Package client provides a [registry.Backend] that talks to another registry over HTTP. It offers
// the operations of the OCI distribution spec in the types of this module. Mirrors, copies between
// registries and tests are built on it.
//
// # Trust
//
// The client does not trust what the registry sends:
//
//   - A manifest is returned only if it has the requested digest and if all parsers read it alike:
//     no key occurs twice or in another case, and each field has the type of the image spec.
//   - The same rules hold for referrers and for the pages of lists. If the JSON of an error
//     response is ambiguous, only its status counts.
//   - When a blob is read from start to end, the last bytes are returned only if the whole blob has
//     its digest.
//   - Every response is read up to a limit, and a response with more than 1 MiB of headers is an
//     error. The http.Transport has its own limit, MaxResponseHeaderBytes, before that.
//   - A 401 or 403 of another host, to which a redirect led, is ErrUnavailable: it says nothing
//     about the rights of the caller.
//
// # Credentials
//
// Options.Authorize adds credentials to requests for the scheme and host of the base URL, and to no
// others. Package login has an Authorize for the usual registries, and a Challenge to go with it.
//
// The client follows redirects of GET and HEAD to other hosts without credentials, and never from
// https to http. It rejects redirects of other methods. After another host has responded, no later
// request that this response leads to carries credentials, not even one to the registry itself: this
// covers further redirects and the next pages of a list. The client rejects an upload whose Location
// is at another host, a next page at another host, and a redirect of an upload request to another
// host.
//
// # Unsupported operations
//
// HTTP cannot express some operations of a Backend. These return ErrUnsupported:
//
//   - the conditions TagPut.IfAbsent, TagPut.Keep, DeleteOptions.Keep, DeleteOptions.IfUnused and
//     DeleteOptions.NotSetAfter
//   - DeleteRepository, History and Restore
//   - a mount with MountOptions.Allow and without MountOptions.From
//
// Nor does HTTP say which tags a push has moved and what a delete has deleted, so PutResult.Moved
// is empty, and DeleteOptions.Deleted is not called.
//
// The registry does not learn the owner of an upload. The client itself binds each upload id to its
// owner, so that an id is of no use to other owners.
//
// The client sends a [registry.Condition] as If-Match and If-None-Match, and only if
// Options.Conditional is set: a registry without support for these headers ignores them and writes
// anyway.
package client

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/registrykit/registry"
)

// Defaults of [Options], in bytes.
const (
	DefaultMaxManifestSize = 4 << 20
	DefaultMaxListSize     = 32 << 20
	DefaultChunkSize       = 8 << 20
)

// Options are the options of [New]. The zero value is valid.
type Options struct {
	// HTTPClient sends the requests. Its CheckRedirect and Jar are not used. A Transport that adds
	// credentials adds them for all hosts; use Authorize instead. Default: an http.Client without a
	// timeout.
	HTTPClient *http.Client
	// Authorize, if not nil, adds credentials to a request to the registry. An error fails the
	// request. Authorize must not read the body. After a redirect, the Response of the request is the
	// redirect, as in package net/http. Default: no credentials.
	Authorize func(*http.Request) error
	// Challenge, if not nil, is called with each response of 401 or 403 to a request for which
	// Authorize was called. The body has at most the first 64 KiB that the registry sent, and Challenge
	// may read it. The Request of the response has the context of the caller. If Challenge returns true,
	// the client calls Authorize again and sends the request once more, but not a third time, and not
	// if the request has a body that cannot be sent twice. An error fails the request. login.Login has
	// such a method. Default: no request is repeated.
	Challenge func(*http.Response) (retry bool, err error)
	// Observe, if not nil, is called with each response of the registry itself, also of redirects
	// and errors, before the body is read. It must not read the body or change anything. It is for
	// headers such as ratelimit-remaining. Default: nil.
	Observe func(*http.Response)
	// Header has further headers for each request to the registry, such as Via. Redirect targets at
	// other hosts do not receive them. A header that the client itself sets takes precedence.
	// Default: none.
	Header http.Header
	// UserAgent is the User-Agent header of each request. Default: "registrykit".
	UserAgent string

	// MaxManifestSize is the maximum size of a manifest, in bytes. Default: DefaultMaxManifestSize.
	MaxManifestSize int64
	// MaxListSize is the maximum size of a list response, in bytes. For tags and repositories, it
	// bounds a page together with the empty pages before it. For referrers, it bounds all pages of
	// a subject together. All bytes that the registry sends count. Default: DefaultMaxListSize.
	MaxListSize int64
	// ChunkSize is the size of a chunk, in bytes, when the length of an upload is unknown. The
	// client holds each chunk in memory and sends it in one request. The registry's
	// OCI-Chunk-Min-Length raises it up to eightfold. Default: DefaultChunkSize.
	ChunkSize int64
	// Conditional states that the registry honors If-Match and If-None-Match of PUT and DELETE, as
	// a [registry.Registry] does. Without it, a write or delete with a condition returns
	// ErrUnsupported and is not sent. Default: false.
	Conditional bool
	// UploadKey authenticates upload ids. Clients of the same registry that share the key can
	// resume each other's uploads. Default: a random key, so that only this client can resume them.
	UploadKey []byte
}

// Client is a [registry.Backend] for another registry. It is safe for concurrent use. It needs no
// Close: the only resources that it holds are those of its http.Client.
type Client struct {
	registry.Unimplemented
	base *url.URL // without a slash at the end
	http http.Client
	opts Options
}

var _ registry.Backend = (*Client)(nil)

// New returns a client of the registry whose API is at baseURL + "/v2/". It sends no request. opts
// may be nil.
//
// New returns an error if baseURL is not an http or https URL of a host and an optional path, or if
// a size in opts is negative.
func New(baseURL string, opts *Options) (*Client, error) {
	u, err := url.Parse(baseURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("client: %w", err)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.Opaque != "":
		return nil, fmt.Errorf("client: %q is not an http or https URL", u.Redacted())
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return nil, fmt.Errorf("client: %q has more than a scheme, host and path", u.Redacted())
	}
	u = u.JoinPath()
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawPath = ""
	c := &Client{base: u}
	if opts != nil {
		c.opts = *opts
	}
	o := &c.opts
	if o.MaxManifestSize < 0 || o.MaxListSize < 0 || o.ChunkSize < 0 {
		return nil, errors.New("client: negative size in Options")
	}
	if o.HTTPClient != nil {
		c.http = *o.HTTPClient
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http.Jar = nil
	o.Header = canonical(o.Header)
	setDefault(&o.UserAgent, "registrykit")
	setDefault(&o.MaxManifestSize, DefaultMaxManifestSize)
	setDefault(&o.MaxListSize, DefaultMaxListSize)
	setDefault(&o.ChunkSize, DefaultChunkSize)
	if o.UploadKey == nil {
		o.UploadKey = make([]byte, 32)
		rand.Read(o.UploadKey)
	}
	return c, nil
}

// canonical returns a copy of h with canonical keys.
func canonical(h http.Header) http.Header {
	c := make(http.Header, len(h))
	for key, values := range h {
		for _, v := range values {
			c.Add(key, v)
		}
	}
	return c
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}
