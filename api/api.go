package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/image"
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
	// AdminsCreateOrganisations lets only callers who manage all accounts create organisations. Default: every user may.
	AdminsCreateOrganisations bool
	// PageSize is the maximum number of elements on a page. Default: 1000. A negative value is an error.
	PageSize int
	// Tags knows when the tags of a storage were set: storage.Store.Inventory. Its repositories must have the names that
	// they have in the registry. Default: nil, and tags have no time.
	Tags TagTimes
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
	a := &API{registry: reg, log: slog.New(slog.DiscardHandler), mux: http.NewServeMux(), scanned: maxScanned}
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
