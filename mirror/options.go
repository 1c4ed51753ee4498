package mirror

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client/login"
)

// Upstream describes a registry that the mirror pulls from. Name and URLs are required.
type Upstream struct {
	// Name is the value of the parameter ns that means this upstream: a host with an optional port,
	// such as "docker.io" or "registry.example:5000".
	Name string
	// Prefix is the start of the names of its repositories in the mirror, one or more path
	// components. It must not be below the prefix of another upstream. A prefix that looks like no
	// host, such as "hub", also hides the namespace of that name at the upstream itself from clients
	// that send ns. Default: Name, which must then have no port.
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
	// Transport sends the requests: a proxy, a private CA, a client certificate. Default: a transport
	// of its own, like http.DefaultTransport, with the proxy of the environment.
	Transport http.RoundTripper
	// PassThrough uses the credentials of the caller instead of those of the mirror. Cached content
	// is served only to callers who have proved to the upstream, within Proof, that they may pull
	// from the repository; others get what the upstream answers them, or 503 if it does not respond.
	// See [Mirror.Middleware]. Default: false.
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
	// DefaultNegativeTTL. A negative value means: not at all.
	NegativeTTL time.Duration
	// KeepDeleted keeps serving a tag that the upstream has deleted. Default: false, the tag is
	// removed from the mirror DeletedGrace after it was first found missing. Content is served by
	// digest in any case.
	KeepDeleted bool
	// DeletedGrace is the time for which the upstream must have said that a tag does not exist
	// before the mirror believes it. Default: 0, at once.
	DeletedGrace time.Duration

	// Allow lists patterns of repositories, without the prefix, that may be pulled: "acme/**", or
	// with tags "acme/app:v*". A pattern with tags restricts pulls by tag. Clients pull by digest what
	// they have resolved by tag, so all digests of a repository may be pulled if one of its tags may.
	// Default: all.
	Allow []string
	// Deny lists patterns that may not be pulled, even if Allow matches. Default: none.
	Deny []string
	// Platforms lists the platforms whose images may be pulled, such as "linux/amd64" or
	// "linux/arm64/v8", in the form of replicate.Options.Platforms. The platform of an image is the
	// one that an index of the repository states, or that of the configuration of the image, which
	// the mirror then reads. An index is served whole; so are artifacts, which have no platform. An
	// image whose configuration is malformed, or larger than 4 MiB, is refused. Default: all.
	Platforms []string
	// MaxBlobSize is the maximum size of a blob that is pulled, in bytes. An image with a larger blob
	// is refused as a whole. Default: no limit.
	MaxBlobSize int64
	// MinAge is the minimum age of an image, by the creation time in its configuration. An image
	// without one is old enough. Default: 0.
	MinAge time.Duration

	// Timeout is the maximum time until the header of a response. Default: 10 seconds.
	Timeout time.Duration
	// Idle is the time after which the mirror gives up a response that sends nothing. Default: 30
	// seconds.
	Idle time.Duration
	// Requests is the maximum number of requests at a time. Default: 64.
	Requests int
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
	// Concurrent requests share one call. A refusal is remembered for ten minutes, and a manifest
	// that is in the store was admitted. A blob is served only if an admitted manifest of its
	// repository names it.
	//
	// Operations of the mirror with the ctx of the call are not held: a scanner can read the image
	// through the mirror. ctx does not end with the requests that wait; Admit must have a time limit
	// of its own. Default: everything is admitted.
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
