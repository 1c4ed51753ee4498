// Package client is a [registry.Backend] over HTTP to another registry: what one can be asked by
// the OCI distribution spec, in the types of this module. It is what mirrors and tests are built
// on.
//
// What a registry sends is not trusted. Manifests are returned only if they have the digest that
// was asked for, and if all clients understand them in the same way: no key twice or in another
// case, no field of another type than the image spec has. The same holds for referrers and the
// pages of lists; an error whose JSON is ambiguous counts by its status alone. The last bytes of a
// blob that is read from start to end are returned only if all of it has its digest. Every response
// is read up to a limit.
//
// Credentials, which Options.Authorize adds, go to the scheme and host of the base URL and nowhere
// else. A GET or HEAD is followed to other hosts without them, never from https to http; other
// requests are not redirected. Once another host has answered, the requests that its answers lead
// to have no credentials, even if they are to the registry: neither those of further redirects nor
// those of the next pages of a list. An upload whose Location is elsewhere is refused, and so are a
// page of a list, and another host that speaks for an upload.
//
// What the wire cannot say is not supported: the conditions TagPut.IfAbsent, TagPut.Keep,
// DeleteOptions.Keep and DeleteOptions.IfUnused, DeleteRepository, History and Restore, and a mount
// that names no source while its Allow is to be asked. The owner of an upload is told to nobody,
// but its ids work for nobody else.
//
// A [registry.Condition] is sent as If-Match and If-None-Match, and only if Options.Conditional
// says that the registry honours them: others ignore these headers and write all the same.
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

// Options are the options of [New]. nil is the zero Options.
type Options struct {
	// HTTPClient sends the requests. Of it, CheckRedirect and Jar are not used. A Transport that
	// adds credentials of its own adds them for all hosts: use Authorize. Default: an http.Client
	// without a timeout.
	HTTPClient *http.Client
	// Authorize, unless nil, adds credentials to a request to the registry, or fails it. It must
	// not read the body.
	Authorize func(*http.Request) error
	// UserAgent is sent as the header of that name. Default: "registrykit".
	UserAgent string

	// MaxManifestSize is how many bytes a manifest has at most. Default: DefaultMaxManifestSize.
	MaxManifestSize int64
	// MaxListSize is the maximum size, in bytes, of a page of names together with the empty pages
	// before it, and of all pages of the referrers of a subject together. Everything that the
	// registry sends counts. Default: DefaultMaxListSize.
	MaxListSize int64
	// ChunkSize is how many bytes of an upload are held in memory and sent in one request if it is
	// not known how many will come. The registry's OCI-Chunk-Min-Length raises it, up to eight
	// times. Default: DefaultChunkSize.
	ChunkSize int64
	// Conditional says that the registry honours If-Match and If-None-Match of PUT and DELETE, as a
	// [registry.Registry] does. Without it, a write or delete with a condition returns
	// ErrUnsupported and is not sent. Default: false.
	Conditional bool
	// UploadKey authenticates the ids of uploads. Clients of the same registry that have the same
	// key go on with each other's uploads. Default: random, so that only the client itself does.
	UploadKey []byte
}

// Client is a [registry.Backend] that asks another registry. It is safe for concurrent use, and
// holds nothing but what its http.Client does.
type Client struct {
	registry.Unimplemented
	base *url.URL // without a slash at the end
	http http.Client
	opts Options
}

var _ registry.Backend = (*Client)(nil)

// New returns a client of the registry whose API is at baseURL + "/v2/". It asks nothing yet. opts
// may be nil.
//
// It fails if baseURL is not an http or https URL of a host and perhaps a path, or an option makes
// no sense.
func New(baseURL string, opts *Options) (*Client, error) {
	u, err := url.Parse(baseURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("client: %w", err)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.Opaque != "":
		return nil, fmt.Errorf("client: %q is not an http or https URL", u.Redacted())
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return nil, fmt.Errorf("client: %q has more than a host and a path", u.Redacted())
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
		return nil, errors.New("client: a size in Options is negative")
	}
	if o.HTTPClient != nil {
		c.http = *o.HTTPClient
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http.Jar = nil
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

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}
