// Package mirror is a [registry.Backend] that pulls through from other registries. Clients pull from
// any number of upstreams by way of one mirror, beside repositories that are pushed to it.
//
//	store, err := storage.New(ctx, d, nil)
//	m, err := mirror.New(store, d, []mirror.Upstream{
//		{Name: "docker.io", Aliases: []string{"index.docker.io", "registry-1.docker.io"},
//			URLs: []string{"https://registry-1.docker.io"}, Realms: []string{"auth.docker.io"}},
//		{Name: "ghcr.io", URLs: []string{"https://ghcr.io"}, Allow: []string{"acme/**"}},
//	}, nil)
//	reg, err := registry.New(m, &registry.Options{Resolve: m.Resolve})
//	go m.Run(ctx)
//
// # Names
//
// Each upstream has a prefix, by default its name: the repository library/alpine of docker.io is
// docker.io/library/alpine of the mirror. Four kinds of requests lead there, see [Mirror.Resolve]:
//
//   - GET /v2/library/alpine/manifests/3?ns=docker.io, as containerd and the kubelet send it;
//   - GET /v2/docker.io/library/alpine/manifests/3, for clients that can name a path;
//   - any path at a host name of Upstream.Hosts;
//   - any path that names no upstream, for the upstream Options.Root, as docker's registry-mirrors
//     send it.
//
// An upstream that is not configured is never contacted, whatever a client sends.
//
// # What is fetched, and when
//
// A blob or manifest is fetched once, when a client first asks for it, and then served from the
// store. Clients read a blob while it arrives. A tag is looked up again after Upstream.TagTTL. An
// index is stored byte for byte, and the images that it names only as they are pulled.
//
// # When an upstream fails
//
// What is in the store is served. See docs/mirror.md for the answers to each failure.
package mirror

import (
	"context"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// Upstream describes a registry that the mirror pulls from. Name and URLs are required.
type Upstream struct {
	// Name is the value of the parameter ns that means this upstream: a host with an optional port,
	// such as "docker.io" or "registry.example:5000".
	Name string
	// Prefix is the start of the names of its repositories in the mirror, one or more path
	// components. Default: Name, which must then have no port.
	Prefix string
	// Aliases are further values of ns and prefixes that mean the same. For the Name "docker.io",
	// index.docker.io and registry-1.docker.io always are.
	Aliases []string
	// Hosts are host names of the mirror, in the Host header, at which every path means this
	// upstream. Default: none.
	Hosts []string
	// URLs are the base URLs of the upstream, tried in this order.
	URLs []string
	// Library is put before names of one component: "library" for docker.io, where alpine means
	// library/alpine. Default: "library" for the Name "docker.io", otherwise none.
	Library string

	// Credentials returns the credentials of the mirror. Default: anonymous.
	Credentials login.Source
	// Realms are the token services that may receive the credentials, see login.Options. For the
	// Name "docker.io", auth.docker.io always is.
	Realms []string
	// Transport sends the requests: a proxy, a private CA, a client certificate. Default:
	// http.DefaultTransport, with the proxy of the environment.
	Transport http.RoundTripper
	// PassThrough uses the credentials of the caller instead of those of the mirror. Cached content
	// is served only to callers who have proved to the upstream, within Proof, that they may pull
	// from the repository. See [Mirror.Middleware]. Default: false.
	PassThrough bool
	// Proof is how long the proof of a caller holds. Default: 5 minutes.
	Proof time.Duration

	// TagTTL is how long a tag is served without asking the upstream. Default: DefaultTagTTL. A
	// negative value means: ask each time.
	TagTTL time.Duration
	// TagTTLs overrides TagTTL for tags whose repository and tag, as "repository:tag", match a
	// pattern; the first match counts. A TTL of Forever is for tags that never change.
	TagTTLs []TagTTL
	// NegativeTTL is how long the mirror remembers that something does not exist. Default:
	// DefaultNegativeTTL.
	NegativeTTL time.Duration
	// KeepDeleted keeps serving a tag that the upstream has deleted. Default: false, the tag is
	// removed from the mirror DeletedGrace after it was first found missing. Content is served by
	// digest in any case.
	KeepDeleted bool
	// DeletedGrace is the time for which the upstream must have said that a tag does not exist
	// before the mirror believes it. Default: 0, at once.
	DeletedGrace time.Duration

	// Allow lists patterns of repositories, without the prefix, that may be pulled: "acme/**", or
	// with tags "acme/app:v*". Default: all.
	Allow []string
	// Deny lists patterns that may not be pulled, even if Allow matches.
	Deny []string
	// Platforms lists the platforms whose manifests may be pulled, such as "linux/amd64". An index
	// is served whole. Default: all.
	Platforms []string
	// MaxBlobSize is the maximum size of a blob that is pulled, in bytes. Default: no limit.
	MaxBlobSize int64
	// MinAge is the minimum age of an image, by the creation time in its configuration. Default: 0.
	MinAge time.Duration

	// Timeout, Idle and Requests are limits of requests to the upstream: the time for the header of
	// a response (default 10 seconds), the time after which a silent body is broken off (default 30
	// seconds), and the number of requests at a time (default 64).
	Timeout, Idle time.Duration
	Requests      int
}

// TagTTL is an element of Upstream.TagTTLs.
type TagTTL struct {
	Pattern string
	TTL     time.Duration
}

// Forever is a TTL that never ends.
const Forever time.Duration = 1<<63 - 1

// Defaults of [Upstream].
const (
	DefaultTagTTL      = 10 * time.Minute
	DefaultNegativeTTL = time.Minute
)

// Image is what Options.Admit decides about.
type Image struct {
	// Repository is the name in the mirror; Upstream and Name are those of the upstream.
	Repository, Upstream, Name string
	// Tag is the tag that was asked for, or "".
	Tag string
	// Manifest is the manifest, which the mirror has just got and not yet stored.
	Manifest *registry.Manifest
}

// Options are the options of [New]. nil means the zero Options.
type Options struct {
	// Root is the Name of the upstream that a request without ns means if its path begins with no
	// prefix of an upstream and with none of Local. docker's registry-mirrors send such requests,
	// for docker.io. Default: none, such names are repositories of the store itself.
	Root string
	// Local lists patterns of repositories of the store itself, beside Root. Default: none.
	Local []string
	// Admit decides about a manifest before it is first served: a scan, a signature. Returning nil
	// admits it. An error of package registry is sent to the client; any other means 403. The client
	// waits up to AdmitWait, and then gets 403 with a Retry-After, while the decision goes on.
	// Concurrent requests share one call. Default: everything is admitted.
	Admit func(ctx context.Context, image *Image) error
	// AdmitWait is the time that a client waits for Admit. Default: 30 seconds.
	AdmitWait time.Duration
	// MayFetch reports whether a caller may cause requests to upstreams. A caller who may not gets
	// what the store has, and otherwise 404. Default: all callers may. See registry.IdentityFrom.
	MayFetch func(ctx context.Context, upstream, repository string) bool

	// MaxSize is the maximum number of bytes that the blobs of mirrored repositories take in the
	// storage. Run evicts the images that were not pulled for the longest time. Default: 0, no limit.
	MaxSize int64
	// Interval is the time between two looks at the size. Default: 5 minutes.
	Interval time.Duration
	// Offline lets the mirror serve what it has and never contact an upstream. Default: false.
	Offline bool
	// Pseudonym is the name of this mirror in Via headers. The replicas of a mirror share it.
	// Default: a random name that the storage keeps.
	Pseudonym string
	// Logger receives failures of upstreams and what is evicted. Default: nothing is logged.
	Logger *slog.Logger
}

// Mirror is a [registry.Backend] over a store and upstreams. It is safe for concurrent use, and any
// number of mirrors in any number of processes may work on one storage.
//
// Repositories below the prefix of an upstream are read-only, except that their content can be
// deleted; it is then fetched again when a client asks for it. All other repositories are those of
// the store.
type Mirror struct {
	registry.Unimplemented
}

// New returns a Mirror of upstreams over a store. d is the driver of the store. It contacts no
// upstream and starts nothing; see [Mirror.Run]. opts may be nil.
//
// Errors: an error for an upstream without a name or URL, for a name, alias, prefix or host that two
// upstreams have, for an invalid pattern, URL or platform, and for an unknown Options.Root; those of
// the driver.
func New(ctx context.Context, store *storage.Store, d driver.Driver, upstreams []Upstream, opts *Options) (*Mirror,
	error) {
	return &Mirror{}, nil
}

// Run does the background work of the mirror until ctx ends: it records pulls, evicts what exceeds
// Options.MaxSize, and removes what interrupted fills have left. One replica at a time evicts. A
// mirror without Run works, but grows. At the end, fills in progress are stopped; they go on when
// their blob is next asked for.
func (m *Mirror) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// Resolve maps the name in a request to the repository of the mirror. It is for
// registry.Options.Resolve.
//
// Errors: registry.ErrNameUnknown for an ns that is no upstream; registry.ErrNameInvalid if ns
// contradicts the prefix in the path, or the request pushes; ErrLoop.
func (m *Mirror) Resolve(q registry.NameQuery) (string, error) { return q.Repository, nil }

// ErrLoop is returned for a request that this mirror itself has caused, through another mirror (508).
var ErrLoop = registry.NewError("DENIED", http.StatusLoopDetected, "the request has passed this mirror before")

// Refresh asks the upstream for a tag now, whatever its TTL, and forgets that it did not exist.
// A tag of "" means all tags of the repository that the store has. It returns the number of tags
// that have changed.
//
// Errors: registry.ErrNameUnknown if no upstream has the prefix of repo; those of the upstream.
func (m *Mirror) Refresh(ctx context.Context, repo, tag string) (changed int, err error) {
	return 0, nil
}

// Pin keeps an image from eviction. It does not fetch anything: see replicate.Pin. Unpin ends that.
func (m *Mirror) Pin(ctx context.Context, repo string, ref reference.Ref) error { return nil }

// Unpin ends a Pin. A missing pin is not an error.
func (m *Mirror) Unpin(ctx context.Context, repo string, ref reference.Ref) error { return nil }

// Pins yields the pinned images as "repository:tag" or "repository@digest".
func (m *Mirror) Pins(ctx context.Context) iter.Seq2[string, error] {
	return func(func(string, error) bool) {}
}

// Stats are the counters of a mirror since New, and the state of its upstreams.
type Stats struct {
	Upstreams []UpstreamStats
	// Hits and Misses count the blobs and manifests served from the store, and those that caused a
	// request to an upstream. Stale counts the answers that an upstream could not confirm.
	Hits, Misses, Stale int64
	// Served and Fetched are the bytes of blobs served, and fetched from upstreams.
	Served, Fetched int64
	// Fills and Readers are the fills in progress and their readers.
	Fills, Readers int64
	// Size is the size of the cached blobs as of SizeAt, in bytes; Evicted counts the bytes evicted.
	Size    int64
	SizeAt  time.Time
	Evicted int64
}

// UpstreamStats are the counters of one upstream.
type UpstreamStats struct {
	Name string
	// Requests counts requests by method and kind, such as "GET blob"; Errors failures by kind, such
	// as "timeout", "5xx", "429", "401", "digest".
	Requests, Errors map[string]int64
	// Limit and Remaining are the last values of Docker Hub's ratelimit headers, or -1.
	Limit, Remaining int64
	// Until is when the upstream may be asked again after a 429, or zero.
	Until time.Time
	// Down reports whether the upstream does not respond at present.
	Down bool
}

// Stats returns the counters.
func (m *Mirror) Stats() Stats { return Stats{} }

var (
	_ = digest.Digest("")
	_ ocispec.Descriptor
)
