package api

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/image"
	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/internal/wire"
	"github.com/registrykit/registry/storage"
)

// Options are the options of [New]. Each field is optional. nil means the zero Options.
type Options struct {
	// Authenticator identifies callers, for example by a session or by credentials. Default: that of the registry.
	Authenticator auth.Authenticator
	// Realm is the realm of the challenge for Basic credentials in a 401. Default: "registry".
	Realm string
	// Logger receives failed requests with a status of 500 or more. Default: nothing is logged.
	Logger *slog.Logger
	// AdminsCreateOrganisations lets only callers who manage all accounts create organisations.
	// Default: every user may.
	AdminsCreateOrganisations bool
	// PageSize is the maximum number of elements on a page. Default: 1000. A negative value is an error.
	PageSize int
	// Tags knows when the tags of a storage were set, and which tags point at a manifest: storage.Store.Inventory. Its
	// repositories must have the names that they have in the registry. Default: nil, and tags have no time.
	Tags TagTimes
	// Protects returns a function that reports whether a tag of a repository is immutable, or nil, as
	// filter.ImmutableOptions.Protects. The API shows it, and does not enforce it. Default: nil, no tag is immutable.
	Protects func(repo string) (protected func(tag string) bool)
	// Pulls knows when tags and manifests were last pulled: a pulltime.Recorder. Default: nil, and
	// nothing has a time of its last pull.
	Pulls PullTimes
	// Images remembers the facts of images. Default: a cache of 16 MiB.
	Images *image.Cache

	Parts
}

// imageCache is the size of the default of Options.Images, in bytes.
const imageCache = 16 << 20

// TagTimes knows when tags were set. storage.Inventory implements it.
type TagTimes interface {
	// Tag returns a tag of a repository.
	//
	// Errors: registry.ErrManifestUnknown.
	Tag(ctx context.Context, repo, tag string) (storage.StoredTag, error)
	// TagsOf yields the tags that point at a manifest.
	TagsOf(ctx context.Context, repo string, d digest.Digest) iter.Seq2[storage.StoredTag, error]
	// Manifest returns a manifest of a repository.
	//
	// Errors: registry.ErrManifestUnknown.
	Manifest(ctx context.Context, repo string, d digest.Digest) (m *registry.Manifest, deleting bool, err error)
	// Manifests yields the manifests of a repository.
	Manifests(ctx context.Context, repo string) iter.Seq2[storage.StoredManifest, error]
}

// API is the management API. It is safe for concurrent use.
type API struct {
	registry *registry.Registry
	opts     Options
	log      *slog.Logger
	routes   []route
	mux      *http.ServeMux
	paced    http.Handler // route with limits on slow clients
	openapi  []byte
	// scanned is the maximum number of names that a page examines.
	scanned int
	// tagFacts remembers the facts of what tags point at.
	tagFacts *lru.Cache[factsKey, types.TagDetails]
	// sorting limits the requests that sort tags at the same time.
	sorting chan struct{}
}

var _ http.Handler = (*API)(nil)

// New returns the management API of a registry. It makes no request and starts nothing. opts may be nil.
//
// Errors: an error for a registry without an Authorizer, because every caller could then do everything; an error for
// an invalid option.
func New(reg *registry.Registry, opts *Options) (*API, error) {
	switch {
	case reg == nil:
		return nil, errors.New("api: no registry")
	case reg.Authorizer() == nil:
		return nil, errors.New("api: the registry has no Authorizer: every caller could do everything")
	}
	a := &API{registry: reg, log: slog.New(slog.DiscardHandler), mux: http.NewServeMux(), scanned: maxScanned,
		tagFacts: lru.New[factsKey, types.TagDetails](factsMemory), sorting: make(chan struct{}, sortsAtOnce)}
	if opts != nil {
		a.opts = *opts
	}
	o := &a.opts
	if o.PageSize < 0 {
		return nil, errors.New("api: Options.PageSize is negative")
	}
	if o.PageSize == 0 {
		o.PageSize = maxPage
	}
	if o.Images == nil {
		o.Images = image.NewCache(imageCache)
	}
	if o.Realm == "" {
		o.Realm = "registry"
	}
	if o.Logger != nil {
		a.log = o.Logger
	}
	a.paced = wire.Pace(http.HandlerFunc(a.route))
	var err error
	if a.openapi, err = a.mount(a.parts()); err != nil {
		return nil, err
	}
	return a, nil
}

// ServeHTTP serves a request. Its URL path begins with /v1/. A client that does not send its body, or does not read the
// response, loses its connection after a minute.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.paced.ServeHTTP(w, r) }

// route serves a request by its path.
func (a *API) route(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store") // the response is for this caller
	if !wire.CleanPath(r.URL.EscapedPath()) {
		a.serve(w, r, nil) // the mux would redirect the client to another path
		return
	}
	a.mux.ServeHTTP(w, r)
}
