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
	DefaultMaxManifestSize = 4 << 20
	DefaultPageSize        = 1000
	DefaultBodyTimeout     = 60 * time.Second
	DefaultMinRate         = 4 << 10
)

// MaxPushTags is how many tags one request may set with the parameter tag. The answer has a header
// line for each, and some HTTP clients read no more than 100. More are answered with 414, and none
// is set.
const MaxPushTags = 64

// Options are the options of [New]. nil is the zero Options: everybody may do everything.
type Options struct {
	// Authenticator finds out who sent a request. nil: every caller is anonymous.
	Authenticator auth.Authenticator
	// Authorizer decides what callers may do. nil: everything.
	Authorizer auth.Authorizer
	// Audit is told of each decision: of each request or call, whether its credentials are right
	// and whether it may be done, of each source of a mount, and of each tag, whether it may be
	// overwritten. A mount that searches for its source makes one decision: about the source, or,
	// if none was found, about a repository without a name. That a list shows only what the caller
	// may pull is not told. nil: nobody is.
	Audit auth.AuditFunc
	// Sink hears of what happened, whether by HTTP or by Registry.Backend. nil: nobody does.
	Sink notification.Sink
	// Interceptors run around every operation that has been authorised; the first is the outermost.
	Interceptors []Interceptor
	// Logger gets what an operator needs to know. nil: nothing is logged.
	Logger *slog.Logger

	// MaxManifestSize is how many bytes a manifest has at most. Default: DefaultMaxManifestSize.
	MaxManifestSize int64
	// MaxBlobSize is how many bytes a blob has at most. Default: no limit.
	MaxBlobSize int64
	// PageSize is how many elements a list has that names no number, and how many it has at most.
	// Default: DefaultPageSize.
	PageSize int
	// ChunkMinLength is sent as OCI-Chunk-Min-Length with each upload: the size in bytes below
	// which a chunk that is not the last is a waste. It is not enforced. Default: not sent.
	ChunkMinLength int64
	// BodyTimeout is how long a client may make no progress when it sends the body of a request or
	// reads a response, of any route, over HTTP/1.1 and HTTP/2. A request body is then answered
	// with 408, and a response is cut off. It takes the place of http.Server.WriteTimeout. Default:
	// DefaultBodyTimeout. Negative means no limit, for MinRate too.
	BodyTimeout time.Duration
	// MinRate is how many bytes per second a client must send or read at least, on average. A
	// client that is slower is given up when it is behind by BodyTimeout. What systems buffer on
	// the way to the client counts as read at first, up to 2 MiB, so that a client which stops to
	// read a large response is given up within BodyTimeout and the time that 2 MiB take at this
	// rate. Default: DefaultMinRate.
	MinRate int64

	// PageKey, of at least 16 random bytes, hides the places in the catalogue where pages of callers
	// end who may not see all of it. Registries behind one address need the same:
	// [github.com/registrykit/registry/storage.Store] has secrets to share. Default: one of this
	// Registry's own.
	PageKey []byte

	// NoDelete switches deletes off, by HTTP and by Registry.Backend alike: but for UsedBlobs, they
	// return ErrUnsupported.
	NoDelete NoDelete
}

// NoDelete says which deletes are switched off.
type NoDelete struct {
	// Tags: a tag cannot be deleted by its name.
	Tags bool
	// Manifests: a manifest cannot be deleted.
	Manifests bool
	// Blobs: a blob cannot be deleted.
	Blobs bool
	// UsedBlobs: a blob cannot be deleted while a manifest of its repository names it. Such a
	// delete returns ErrDenied; see DeleteOptions.IfUnused.
	UsedBlobs bool
	// Repositories: a repository cannot be deleted.
	Repositories bool
}

// forbids reports whether the deletes of a kind are switched off.
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

// Registry serves a [Backend] by HTTP, and to Go code in the same process. It is safe for
// concurrent use.
type Registry struct {
	backend  Backend // with the interceptors around it
	opts     Options
	log      *slog.Logger
	routes   routes
	cursors  cursors
	reading  *semaphore.Weighted // bounds the bytes of referrers that are read at a time, see readBudget
	outgoing *outgoing
}

var _ http.Handler = (*Registry)(nil)

// New returns a registry over a backend. It starts nothing. opts may be nil.
//
// It fails if backend is nil or an option makes no sense.
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
		return nil, errors.New("registry: a size in Options is negative")
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

// Backend returns the registry as identity sees it: each operation is authorised, limited, observed
// and told to the Sink as if the identity had sent it by HTTP. It is what ServeHTTP itself calls.
func (r *Registry) Backend(identity auth.Identity) Backend {
	return &guard{r: r, identity: identity, asked: auth.Decision{Identity: identity}}
}
