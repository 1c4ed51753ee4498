package registry

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
)

// Defaults of [Options].
const (
	DefaultMaxManifestSize = 4 << 20 // bytes
	DefaultPageSize        = 1000    // elements
	DefaultBodyTimeout     = 60 * time.Second
	DefaultMinRate         = 4 << 10 // bytes per second
)

// MaxPushTags is the maximum number of tags that one request may set with the parameter tag. The
// response has a header line for each tag, and some HTTP clients read no more than 100 lines. A
// request with more tags is answered with 414 and sets none.
const MaxPushTags = 64

// Options are the options of [New]. Each field is optional, and nil means the zero Options: every
// caller is anonymous and may do everything.
type Options struct {
	// Authenticator identifies the sender of an HTTP request. Default: every caller is anonymous.
	Authenticator auth.Authenticator
	// Authorizer decides which operations a caller may perform. Default: all of them.
	Authorizer auth.Authorizer
	// Audit is called with each decision, before it takes effect. Default: decisions are not
	// recorded.
	//
	// There is a decision for invalid credentials, for the operation of each request or Go call,
	// for the source of a mount, and for overwriting each tag of a push. A mount that searches for
	// its source makes one decision: about the source that was found, or else about a repository
	// without a name. Leaving elements out of a list is not a decision.
	Audit auth.AuditFunc
	// Sink receives an event for each pull, push, mount and delete that succeeded, by HTTP or by
	// [Registry.Backend]. Default: no events.
	Sink notification.Sink
	// Interceptors run around every operation after it has been authorised. The first is the
	// outermost. Default: none.
	Interceptors []Interceptor
	// Logger receives failed requests with a status of 500 or more, responses that were cut off,
	// and events that the Sink did not take. Default: nothing is logged.
	Logger *slog.Logger

	// MaxManifestSize is the maximum size of a pushed manifest, in bytes. A larger one is refused
	// with ErrManifestTooLarge. Default: DefaultMaxManifestSize, 4 MiB.
	MaxManifestSize int64
	// MaxBlobSize is the maximum size of a pushed blob, in bytes. A larger one is refused with
	// ErrBlobTooLarge. Default: no limit.
	MaxBlobSize int64
	// PageSize is the maximum number of elements on a page of tags, of referrers or of the catalog,
	// and the number that a client gets if it does not ask for one. Default: DefaultPageSize, 1000.
	PageSize int
	// ChunkMinLength is sent to clients in the header OCI-Chunk-Min-Length when an upload begins: a
	// recommended minimum size, in bytes, of each chunk but the last. It is not enforced. Default:
	// the header is not sent.
	ChunkMinLength int64
	// BodyTimeout is the maximum time for which a client may make no progress while it sends a
	// request body or reads a response, over HTTP/1.1 and HTTP/2. After that, a request body is
	// answered with 408, and a response is cut off. Do not set http.Server.WriteTimeout, which
	// would end long transfers. Default: DefaultBodyTimeout, 60 seconds. A negative value disables
	// both this limit and MinRate.
	BodyTimeout time.Duration
	// MinRate is the minimum average rate at which a client must send or read, in bytes per second.
	// A client that falls behind by BodyTimeout is ended like one without progress. Default:
	// DefaultMinRate, 4 KiB per second.
	//
	// Up to 2 MiB that operating systems buffer on the way to the client count as read at first. A
	// client that stops reading is therefore ended after BodyTimeout plus the time that 2
	// MiB take at this rate.
	MinRate int64

	// PageKey encrypts the cursors in Link headers, so that the link to the next page never reveals
	// the name of a repository or tag that the caller may not see. It is at least 16 random bytes.
	// Replicas behind one address must use the same key: a replica rejects the cursor of another
	// one with a different key. Store.SharedSecret of package storage returns a suitable one.
	// Default: a random key for this Registry.
	PageKey []byte

	// NoDelete disables deletes, by HTTP and by [Registry.Backend]. Default: deletes are enabled.
	NoDelete NoDelete
}

// NoDelete lists the deletes that are disabled. A disabled delete returns ErrUnsupported, except
// for UsedBlobs.
type NoDelete struct {
	// Tags disables deleting a tag by its name.
	Tags bool
	// Manifests disables deleting a manifest by its digest.
	Manifests bool
	// Blobs disables deleting a blob.
	Blobs bool
	// UsedBlobs disables deleting a blob while a manifest of its repository names it. Such a delete
	// returns ErrDenied; see DeleteOptions.IfUnused.
	UsedBlobs bool
	// Repositories disables deleting a repository.
	Repositories bool
}

// forbids reports whether deletes of a kind are disabled.
func (n NoDelete) forbids(kind OpKind) bool {
	switch kind {
	case OpDeleteTag:
		return n.Tags
	case OpDeleteManifest:
		return n.Manifests
	case OpDeleteBlob:
		return n.Blobs
	case OpDeleteRepository:
		return n.Repositories
	}
	return false
}

// Registry serves a [Backend] over HTTP, as an [http.Handler], and to Go code in the same process,
// by [Registry.Backend]. Both ways authorise each operation alike. It is safe for concurrent use.
type Registry struct {
	backend  Backend // with the interceptors around it
	opts     Options
	log      *slog.Logger
	routes   routes
	cursors  cursors
	reading  *semaphore.Weighted // limits the bytes of referrers that are read at a time, see readBudget
	outgoing *outgoing
}

var _ http.Handler = (*Registry)(nil)

// New returns a registry over a backend, such as a Store of package storage. It starts no
// goroutines, and the result needs no closing. opts may be nil.
//
// It returns an error if backend is nil, a size or rate in opts is negative, or PageKey is shorter
// than 16 bytes.
func New(backend Backend, opts *Options) (*Registry, error) {
	if backend == nil {
		return nil, errors.New("registry: no backend")
	}
	r := &Registry{
		backend: backend, routes: newRoutes(), log: slog.New(slog.DiscardHandler),
		reading: semaphore.NewWeighted(readBudget), outgoing: newOutgoing(maxOutgoing),
	}
	if opts != nil {
		r.opts = *opts
	}
	o := &r.opts
	if o.MaxManifestSize < 0 || o.MaxBlobSize < 0 || o.PageSize < 0 || o.ChunkMinLength < 0 || o.MinRate < 0 {
		return nil, errors.New("registry: a size or rate in Options is negative")
	}
	if o.MaxManifestSize == 0 {
		o.MaxManifestSize = DefaultMaxManifestSize
	}
	if o.PageSize == 0 {
		o.PageSize = DefaultPageSize
	}
	if o.BodyTimeout == 0 {
		o.BodyTimeout = DefaultBodyTimeout
	}
	if o.MinRate == 0 {
		o.MinRate = DefaultMinRate
	}
	if o.PageKey == nil {
		o.PageKey = make([]byte, 32)
		rand.Read(o.PageKey)
	}
	if len(o.PageKey) < 16 {
		return nil, errors.New("registry: Options.PageKey is shorter than 16 bytes")
	}
	var err error
	if r.cursors, err = newCursors(o.PageKey); err != nil {
		return nil, err
	}
	if o.Logger != nil {
		r.log = o.Logger
	}
	if len(o.Interceptors) > 0 {
		r.backend = Intercept(backend, Chain(o.Interceptors...))
	}
	return r, nil
}

// Backend returns the registry as identity sees it. Each operation is authorised, limited,
// intercepted and reported to the Sink as if the identity had sent it over HTTP. ServeHTTP itself
// calls this Backend.
func (r *Registry) Backend(identity auth.Identity) Backend {
	return &guard{r: r, identity: identity, decision: auth.Decision{Identity: identity}}
}
