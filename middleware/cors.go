package middleware

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/registrykit/registry/internal/wire"
)

// DefaultMaxAge is the default of [CORSOptions].MaxAge.
const DefaultMaxAge = 10 * time.Minute

// CORSOptions are the options of [CORS].
type CORSOptions struct {
	// Origins are the origins whose pages may read responses, such as "https://ui.example". "*"
	// stands for every origin. Default: none.
	Origins []string
	// Credentials lets browsers send cookies and TLS client certificates with the requests of these
	// pages. Pages that set the Authorization header themselves do not need it. It cannot be
	// combined with the origin "*". Default: false.
	Credentials bool
	// MaxAge is how long browsers may cache the response to a preflight request. Default:
	// DefaultMaxAge, 10 minutes. Negative: they must not cache it.
	MaxAge time.Duration
}

// The methods and headers that pages may send, and the response headers that they may read, besides
// those that the Fetch standard always allows.
const (
	corsMethods        = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsRequestHeaders = "Accept, Authorization, Cache-Control, Content-Range, Content-Type, " +
		"If-Match, If-Modified-Since, If-None-Match, If-Range, If-Unmodified-Since, Range"
	corsExposedHeaders = "Accept-Ranges, Allow, Content-Length, Content-Range, Docker-Content-Digest, " +
		"Docker-Distribution-Api-Version, Docker-Upload-Uuid, Etag, Link, Location, OCI-Chunk-Min-Length, " +
		"OCI-Filters-Applied, OCI-Subject, OCI-Tag, Range, Retry-After, Warning, WWW-Authenticate"
)

// CORS returns a handler that lets web pages of some origins use the registry, by the headers of
// the Fetch standard. It answers preflight requests itself, without credentials, and adds the
// headers to all responses of next. That includes errors, such as a 401 with its challenge.
//
// It permits nothing that next would refuse. If next is [SameOrigin], pass the same origins to it.
// opts may be nil: no page is allowed.
//
// It returns an error if an origin is malformed, or if "*" is combined with Credentials.
func CORS(next http.Handler, opts *CORSOptions) (http.Handler, error) {
	c := &cors{next: next}
	if opts == nil {
		return c, nil
	}
	for _, origin := range opts.Origins {
		if origin == "*" {
			c.any = true
			continue
		}
		normal, err := parseOrigin(origin)
		if err != nil {
			return nil, err
		}
		c.origins = append(c.origins, normal)
	}
	if c.credentials = opts.Credentials; c.any && c.credentials {
		return nil, errors.New(`middleware: the origin "*" cannot be combined with Credentials`)
	}
	if c.maxAge = opts.MaxAge; c.maxAge == 0 {
		c.maxAge = DefaultMaxAge
	}
	return c, nil
}

type cors struct {
	next        http.Handler
	origins     []string
	any         bool
	credentials bool
	maxAge      time.Duration
}

func (c *cors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin") // always set, so that caches do not reuse the response for another origin
	allowed := c.allowed(r)
	if allowed != "" {
		h.Set("Access-Control-Allow-Origin", allowed)
		h.Set("Access-Control-Expose-Headers", corsExposedHeaders)
		if c.credentials {
			h.Set("Access-Control-Allow-Credentials", "true")
		}
	}
	if !preflight(r) {
		c.next.ServeHTTP(w, r)
		return
	}
	if allowed != "" {
		h.Set("Access-Control-Allow-Methods", corsMethods)
		h.Set("Access-Control-Allow-Headers", corsRequestHeaders)
		h.Set("Access-Control-Max-Age", strconv.Itoa(max(0, int(c.maxAge/time.Second))))
	}
	wire.Bound(w, r)
	w.WriteHeader(http.StatusNoContent)
}

// preflight reports whether the request is a preflight request of a browser.
func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}

// allowed returns the value of Access-Control-Allow-Origin, or "" if the request is not from an
// allowed page.
func (c *cors) allowed(r *http.Request) string {
	origin := r.Header.Get("Origin")
	switch {
	case origin == "":
		return ""
	case slices.Contains(c.origins, origin):
		return origin
	case c.any:
		return "*"
	}
	return ""
}
