// Package upstream is a registry that a mirror pulls from: one or several URLs, with what the mirror
// remembers of their failures.
//
// # URLs
//
// An Upstream tries its URLs in order. The answer of the first URL that gives one is final, also if
// it is 404, 401, 403 or 429. The next URL is asked if a URL does not respond, responds with 5xx or
// with something that is no answer, or sends wrong content.
//
// A URL that does not respond rests, see Options.Rest, and nothing is sent to it meanwhile. Then one
// request is sent to find out whether it responds again; the others go to the next URL, or wait up
// to a second for the result. When a request times out, and the URL has responded to none since that
// request was sent, all requests that wait for the URL fail with it. So a URL that accepts
// connections and says nothing costs one timeout, and not one for each request. The storage that a
// URL redirects to, and its token service, rest in the same way by themselves.
//
// A URL that responds with 500 rests after three such responses in a row, because one response may
// be due to the request; a URL that responds with 502, 503 or 504 rests at once.
//
// # Limits
//
// After a 429, no request with the same credentials is sent to any URL until the time of its Retry-After
// has passed. So a caller who exceeds a limit, see [Upstream.As], does not exceed it for others.
//
// # Content
//
// A URL that has sent wrong content for a digest is not asked for this digest in the same repository
// for ten minutes.
package upstream

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/internal/lru"
)

// Options are the options of [New].
type Options struct {
	// Name is the name of the upstream in errors and statistics.
	Name string
	// URLs are the base URLs, tried in this order. At least one is required.
	URLs []string
	// Source has the credentials; Realms are the token services, see login.Options.
	Source login.Source
	Realms []string
	// Transport sends the requests. Default: one like http.DefaultTransport, with proxies of the
	// environment and connections of its own.
	Transport http.RoundTripper
	// Timeout is the time for the header of a response. Default: 10 seconds.
	Timeout time.Duration
	// Idle is the time after which a body that sends nothing is broken off. The time in which nobody
	// reads the body does not count. Default: 30 seconds.
	Idle time.Duration
	// Rest is how long a URL that does not respond is left alone, at least; with jitter, and doubled
	// up to a minute. Default: 5 seconds.
	Rest time.Duration
	// Via is the pseudonym of the mirror in Via headers. Default: none is sent.
	Via string
	// Requests is the maximum number of requests at a time; an eighth of them is not for blobs, and half
	// of them not for parts of blobs. A request ends with its body. Others wait. Default: 64.
	Requests int
}

// Defaults of [Options].
const (
	DefaultTimeout  = 10 * time.Second
	DefaultIdle     = 30 * time.Second
	DefaultRest     = 5 * time.Second
	DefaultRequests = 64
)

// Upstream is a registry at one or several URLs. It is safe for concurrent use.
type Upstream struct {
	*shared
	*view
	via string // the Via header of the request that causes those of this Upstream, or ""
}

// shared is what the views of an upstream have in common.
type shared struct {
	opts      Options
	endpoints []*endpoint
	slots     chan struct{} // has an element for each request in progress
	blobSlots chan struct{} // and for those for blobs
	partSlots chan struct{} // has an element for each open part of a blob, see FetchRange
	blame     blames
	stats     counters
	views     views
	cursors   *lru.Cache[cursor, string] // the links to the next pages of tags
}

// endpoint is a URL with what is known of it.
type endpoint struct {
	index               int
	url                 string // as configured
	base                *url.URL
	api, storage, token *health
	ranges              noRanges
}

// ErrRefused is returned when the upstream refuses the credentials of the mirror: 401 or 403. It
// wraps the error of package registry.
var ErrRefused = errors.New("upstream: the credentials are refused")

// ErrContent is returned when the upstream sends something other than requested: a wrong digest, a
// wrong type, too much, an encoding (502).
var ErrContent = registry.NewError("UNAVAILABLE", http.StatusBadGateway, "the upstream has sent wrong content")

// New returns an Upstream. It sends no request.
//
// Errors: one for no URL, for a URL that client.New refuses, for an invalid realm, for a negative
// limit, and for a Via that is no pseudonym (RFC 9110, section 7.6.3).
func New(opts Options) (*Upstream, error) {
	opts.Timeout = cmp.Or(opts.Timeout, DefaultTimeout)
	opts.Idle = cmp.Or(opts.Idle, DefaultIdle)
	opts.Rest = cmp.Or(opts.Rest, DefaultRest)
	opts.Requests = cmp.Or(opts.Requests, DefaultRequests)
	switch {
	case len(opts.URLs) == 0:
		return nil, fmt.Errorf("upstream: %s: no URL", opts.Name)
	case opts.Timeout < 0 || opts.Idle < 0 || opts.Rest < 0 || opts.Requests < 0:
		return nil, fmt.Errorf("upstream: %s: negative limit", opts.Name)
	case !isPseudonym(opts.Via):
		return nil, fmt.Errorf("upstream: %s: %q is no pseudonym for Via", opts.Name, opts.Via)
	}
	if opts.Transport == nil {
		opts.Transport = defaultTransport(&opts)
	}
	s := &shared{opts: opts, slots: make(chan struct{}, opts.Requests),
		blobSlots: make(chan struct{}, opts.Requests-opts.Requests/8),
		partSlots: make(chan struct{}, max(1, opts.Requests/2)),
		cursors:   lru.New[cursor, string](maxCursors)}
	s.blame.init()
	s.stats.init()
	s.views.init()
	for i, base := range opts.URLs {
		u, err := url.Parse(base)
		if err != nil {
			return nil, fmt.Errorf("upstream: %s: %w", opts.Name, err)
		}
		e := &endpoint{index: i, url: base, base: u, api: newHealth(opts.Rest), storage: newHealth(opts.Rest),
			token: newHealth(opts.Rest)}
		s.endpoints = append(s.endpoints, e)
	}
	v, err := s.newView(opts.Source)
	if err != nil {
		return nil, err
	}
	return &Upstream{shared: s, view: v}, nil
}

// view has a client for each URL, with the same credentials.
type view struct {
	clients []*client.Client
	// limit is what the upstream has said about the limits of these credentials.
	limit *limit
	// id distinguishes the cursors of this view from those of others.
	id *byte
}

func (s *shared) newView(source login.Source) (*view, error) {
	v := &view{limit: new(limit), id: new(byte)}
	for _, e := range s.endpoints {
		l, err := login.New(e.url, &login.Options{Source: source, Realms: s.opts.Realms,
			Transport: &line{shared: s, endpoint: e, limit: v.limit, token: true}})
		if err != nil {
			return nil, fmt.Errorf("upstream: %s: %w", s.opts.Name, err)
		}
		c, err := client.New(e.url, &client.Options{
			HTTPClient: &http.Client{Transport: &line{shared: s, endpoint: e, limit: v.limit}},
			Authorize:  l.Authorize, Challenge: l.Challenge,
		})
		if err != nil {
			return nil, fmt.Errorf("upstream: %s: %w", s.opts.Name, err)
		}
		v.clients = append(v.clients, c)
	}
	return v, nil
}

// Through returns the same upstream for requests that another request has caused. via is the Via
// header of that request, all its values joined by commas. It goes before the pseudonym of this
// mirror in the Via headers of the new requests, so that a loop over several mirrors is noticed.
// The caller limits its length.
func (u *Upstream) Through(via string) *Upstream {
	c := *u
	c.via = via
	return &c
}

// Close closes the connections that are not in use. The Upstream can still be used.
func (u *Upstream) Close() {
	if t, ok := u.opts.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// isPseudonym reports whether s is a token (RFC 9110, section 5.6.2) or "".
func isPseudonym(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return true
}
