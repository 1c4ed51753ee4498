// Package upstream is a registry that a mirror pulls from: one or several URLs, with what the mirror
// remembers of their failures.
//
// An Upstream tries its URLs in order. It leaves a URL alone for a while after the URL has not
// responded, and all of them after a 429, so that an outage costs one timeout and not one for each
// request. It sends no request that the mirror does not need.
package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/mirror/internal/fill"
	"github.com/registrykit/registry/reference"
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
	// Transport sends the requests. Default: http.DefaultTransport with proxies of the environment.
	Transport http.RoundTripper
	// Timeout is the time for the header of a response. Default: 10 seconds.
	Timeout time.Duration
	// Idle is the time after which a body that sends nothing is broken off. Default: 30 seconds.
	Idle time.Duration
	// Rest is how long a URL that does not respond is left alone, at least; with jitter, and doubled
	// up to a minute. Default: 5 seconds.
	Rest time.Duration
	// Via is the pseudonym of the mirror in Via headers.
	Via string
	// Requests is the maximum number of requests at a time. Default: 64.
	Requests int
}

// Upstream is safe for concurrent use.
type Upstream struct{}

// ErrRefused is returned when the upstream refuses the credentials of the mirror: 401 or 403. It
// wraps the error of package registry.
var ErrRefused = errors.New("upstream: the credentials are refused")

// ErrContent is returned when the upstream sends something other than requested: a wrong digest, a
// wrong type, too much, an encoding.
var ErrContent = errors.New("upstream: wrong content")

// New returns an Upstream. It sends no request.
func New(opts Options) (*Upstream, error) { return &Upstream{}, nil }

// As returns the same upstream with other credentials: those of a caller. It shares what is known of
// the URLs. The challenge and tokens are the caller's own.
func (u *Upstream) As(c login.Credentials) *Upstream { return u }

// StatManifest sends one HEAD.
//
// Errors, here and below: registry.ErrManifestUnknown (404, 410); ErrRefused;
// registry.ErrTooManyRequests with the time to wait; registry.ErrUnavailable for 5xx, timeouts, DNS,
// TLS, and while the upstream is left alone; ErrContent.
func (u *Upstream) StatManifest(ctx context.Context, repo string, ref reference.Ref) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, registry.ErrUnavailable
}

// GetManifest sends one GET, and checks digest, length and media type.
func (u *Upstream) GetManifest(ctx context.Context, repo string, ref reference.Ref) (*registry.Manifest, error) {
	return nil, registry.ErrUnavailable
}

// StatBlob sends one HEAD.
func (u *Upstream) StatBlob(ctx context.Context, repo string, d digest.Digest) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, registry.ErrUnavailable
}

// Blobs returns the source of the blobs of a repository for a fill.
func (u *Upstream) Blobs(repo string) fill.Source { return nil }

// Tags returns a page of up to n tags after the tag after, as the upstream lists them.
func (u *Upstream) Tags(ctx context.Context, repo, after string, n int) (tags []string, more bool, err error) {
	return nil, false, registry.ErrUnavailable
}

// Referrers returns all referrers of a digest, by the referrers API or by the tag of the digest.
func (u *Upstream) Referrers(ctx context.Context, repo string, d digest.Digest) ([]ocispec.Descriptor, error) {
	return nil, registry.ErrUnavailable
}

// Stats are the counters of an Upstream.
type Stats struct {
	// Requests counts the requests by method and kind, such as "GET manifest" and "GET blob".
	Requests map[string]int64
	// Errors counts failures by their kind, such as "timeout", "5xx", "429", "401", "digest".
	Errors map[string]int64
	// Bytes is the number of bytes of blobs received.
	Bytes int64
	// Limit and Remaining are those of the last ratelimit headers (docker.com), or -1.
	Limit, Remaining int64
	// Until is when the upstream may be asked again after a 429, or zero.
	Until time.Time
	// Down reports whether no URL responds at present.
	Down bool
}

// Stats returns the counters since New.
func (u *Upstream) Stats() Stats { return Stats{} }
