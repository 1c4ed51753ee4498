package registry

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/copybuf"
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
// caller is anonymous and may do everything. New copies the Options.
//
// The functions and interfaces in Options are called by many goroutines at once. A Go call below is
// a call of a method of [Registry.Backend]. Only Authenticator, PageSize, ChunkMinLength,
// BodyTimeout, MinRate and PageKey are about HTTP alone; the other fields also hold for Go calls.
type Options struct {
	// Authenticator identifies the sender of an HTTP request. Default: every caller is anonymous.
	//
	// An Authenticator restricts nothing by itself, because callers without credentials still reach
	// the Authorizer as anonymous. Without an Authorizer, they may do everything.
	Authenticator auth.Authenticator
	// Authorizer decides which operations a caller may perform. Default: all of them, for every
	// caller.
	Authorizer auth.Authorizer
	// Audit is called with each decision, before it takes effect. The request waits for it. It
	// cannot change the decision. Default: decisions are not recorded.
	//
	// A request whose credentials are refused makes one decision. Any other request, and each Go
	// call, makes one decision about its operation. A mount makes a second one, about the
	// repository that it takes the blob from. A push makes a further one for each of its tags:
	// whether the caller may overwrite that tag. A restore also makes decisions about each tag that
	// returns.
	//
	// A mount request may leave out the repository to take the blob from. The registry then
	// searches the repositories that the caller may pull from. Audit receives one decision about
	// the repository that was found, or a denial for a repository with the name "" if none was.
	// There is no decision about the elements that a list leaves out because the caller may not see
	// them.
	Audit auth.AuditFunc
	// Sink receives the events of each operation that succeeded, in one call: pulls, pushes,
	// mounts, moves of tags, deletes and restores. The client waits for it. HEAD requests, lists,
	// and operations that fail have no events. Default: no events.
	//
	// If the Sink returns an error or panics, the registry logs that and goes on. It does not repeat
	// the event. There is one exception: for an error that wraps notification.ErrNotRecorded, the
	// operation returns ErrUnavailable, 503, although the change was made. No byte of a pull is
	// sent before the Sink has returned.
	//
	// After a 503 the client repeats the request. A push that is repeated sends its event, without
	// the Move of a tag that points at the manifest already. A repeated delete finds nothing and
	// returns 404, without an event. The upload of a blob has ended, so the client begins another.
	Sink notification.Sink
	// Instance is the name of this process in events. Default: the name of the host, or "" if the
	// operating system does not know it.
	Instance string
	// RequestID returns the ID of a request for its events. The registry calls it only for requests
	// that have events, once for each. It limits the ID to 512 bytes. If the result is "", the ID
	// is a new one. Default: a new notification.NewID for each request.
	//
	// A host whose proxy gives every request an ID returns that one:
	//
	//	RequestID: func(r *http.Request) string { return r.Header.Get("X-Request-Id") }
	//
	// The proxy must overwrite the header, because clients can send it too.
	RequestID func(*http.Request) string
	// Resolve returns the name of the repository that a request is about. It is called before the
	// caller is authenticated and the request is authorised, so the Authorizer, the Backend and the
	// events see the resolved name. URLs in the response keep the name in the path and the parameter
	// ns. An error ends the request, and becomes the response. It is not called for /v2/, for the
	// catalog, and for Go calls.
	//
	// The repository from which a mount takes a blob is resolved, too. An error for that one means
	// that the client must upload the blob. Default: the name in the path, and the parameter ns is
	// ignored. See package mirror.
	Resolve func(q NameQuery) (string, error)
	// Interceptors run around every operation after it has been authorised. The first is the
	// outermost. Default: none.
	Interceptors []Interceptor
	// Logger receives failed requests with a status of 500 or more, responses that were cut off,
	// and events for which the Sink returned an error. Default: nothing is logged.
	Logger *slog.Logger

	// MaxManifestSize is the maximum size of a pushed manifest, in bytes. A larger one is refused
	// with ErrManifestTooLarge. Default: DefaultMaxManifestSize, 4 MiB. A negative value is an
	// error.
	MaxManifestSize int64
	// MaxBlobSize is the maximum size of a pushed blob, in bytes. A larger one is refused with
	// ErrBlobTooLarge: at once if the client states the size, otherwise when the limit is reached.
	// Default: no limit, so that a caller with push access can fill the storage. A negative value
	// is an error.
	MaxBlobSize int64
	// PageSize is the maximum number of elements on a page of tags, of referrers or of the catalog.
	// A client that asks for more, or for no number, gets this number. Default: DefaultPageSize,
	// 1000. A negative value is an error.
	PageSize int
	// ChunkMinLength is sent to clients in the header OCI-Chunk-Min-Length when an upload begins: a
	// recommended minimum size, in bytes, of each chunk but the last. It is not enforced. Default:
	// the header is not sent. A negative value is an error.
	ChunkMinLength int64
	// BodyTimeout is the maximum time for which a client may make no progress while it sends a
	// request body or reads a response, over HTTP/1.1 and HTTP/2. After that, a request body is
	// answered with 408, and a response is cut off. Default: DefaultBodyTimeout, 60 seconds. A
	// negative value disables both this limit and MinRate: a client can then hold its connection
	// forever.
	//
	// A client that stops in the middle of a response is cut off later: with the defaults, up to
	// 9.5 minutes after it stopped; see MinRate.
	//
	// Leave ReadTimeout and WriteTimeout of [http.Server] zero, because they would end long
	// transfers. The package comment lists the fields to set.
	BodyTimeout time.Duration
	// MinRate is the minimum average rate at which a client must send or read, in bytes per second.
	// A slower client uses up BodyTimeout little by little: each second of waiting for the client
	// counts against it, and each byte gives back its time at MinRate. When BodyTimeout is used up,
	// the registry acts as if the client had made no progress. Default: DefaultMinRate, 4 KiB per
	// second. A negative value is an error.
	//
	// Up to 2 MiB of a response may be on its way to the client, in the buffers of operating
	// systems, and the registry cannot see whether the client reads them. They count as read. A
	// client that stops reading is therefore cut off after BodyTimeout plus the time that 2 MiB
	// take at MinRate: 60 + 512 seconds with the defaults. A lower MinRate makes this time longer.
	MinRate int64

	// PageKey encrypts the cursors in Link headers, which say where the next page begins. So the
	// link never reveals the name of a repository or tag that the caller may not see. PageKey is at
	// least 16 random bytes; New returns an error for a shorter one.
	//
	// Replicas behind one address must use the same key: a replica rejects the cursor of another
	// key with 400. Store.SharedSecret of package storage returns a suitable one. Default: a random
	// key for this Registry, so that cursors from before a restart are rejected.
	PageKey []byte

	// NoDelete disables kinds of deletes, such as NoDelete{Tags: true}. Default: all deletes are
	// enabled, for callers that the Authorizer allows to delete.
	NoDelete NoDelete
}

// NoDelete lists the deletes that are disabled. A disabled delete returns ErrUnsupported (405),
// except for UsedBlobs.
//
// A delete of a manifest by its digest also removes the tags that point at it, and a delete of a
// repository removes everything in it. To keep tags, set Tags, Manifests and Repositories. NoDelete
// does not stop a push that moves a tag to another manifest, for which the Authorizer decides about
// auth.Overwrite. It holds neither for garbage collection nor for calls of the Store itself.
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
	buffers  *copybuf.Pool
	scratch  scratch
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
		buffers: copybuf.New(copyBuffer, smallCopyBuffer, maxCopyBuffers),
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
	if o.Instance == "" {
		o.Instance, _ = os.Hostname() // "" if it fails
	}
	if len(o.Interceptors) > 0 {
		r.backend = Intercept(backend, Chain(o.Interceptors...))
	}
	return r, nil
}

// Backend returns the registry as identity sees it. Each operation is authorised, limited,
// intercepted and reported to the Sink as if the identity had sent it over HTTP. ServeHTTP uses the
// same code.
func (r *Registry) Backend(identity auth.Identity) Backend {
	return Intercept(&guard{r: r, identity: identity, decision: auth.Decision{Identity: identity}}, carry(identity))
}
