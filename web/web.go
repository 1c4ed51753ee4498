package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/internal/wire"
	"github.com/registrykit/registry/web/internal/lang"
)

// Page is the page of a registry. It is safe for concurrent use.
type Page struct {
	api       *api.API
	opts      Options
	log       *slog.Logger
	views     []view
	templates map[string]func() (*templates, error) // by language
	assets    *assets
	languages *lang.Chooser
	paced     http.Handler
}

var _ http.Handler = (*Page)(nil)

// New returns the page of a registry, over its management API. It makes no request and starts nothing. opts may be nil.
//
// Errors: an error for an invalid option.
func New(manage *api.API, opts *Options) (*Page, error) {
	if manage == nil {
		return nil, errors.New("web: no API")
	}
	p := &Page{api: manage, log: slog.New(slog.DiscardHandler)}
	if opts != nil {
		p.opts = *opts
	}
	if err := p.opts.complete(); err != nil {
		return nil, err
	}
	if p.opts.Logger != nil {
		p.log = p.opts.Logger
	}
	var err error
	if p.assets, err = newAssets(&p.opts.Look, p.opts.Path); err != nil {
		return nil, err
	}
	if p.languages, err = lang.NewChooser(p.opts.Languages); err != nil {
		return nil, fmt.Errorf("web: Options.Languages: %w", err)
	}
	for _, v := range allViews() {
		if v.available(p) {
			v.re = compile(v.path)
			p.views = append(p.views, v)
		}
	}
	p.templates = p.parseTemplates()
	p.paced = wire.Pace(protect(http.HandlerFunc(p.serve)))
	return p, nil
}

// ServeHTTP serves a request. Its URL path begins with Options.Mount. A client that does not send its form, or does not
// read the response, loses its connection after a minute.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.paced.ServeHTTP(w, r) }

// now returns the present time.
func (p *Page) now() time.Time { return time.Now() }

// protect refuses changes that pages of other origins send, and sets the headers that restrict what a browser does with
// a response.
func protect(next http.Handler) http.Handler {
	same := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		restrict(w.Header())
		if err := same.Check(r); err != nil {
			http.Error(w, "A page of another origin sent the request.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// restrict sets the headers that restrict what a browser does with a response.
func restrict(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store") // the response is for this caller
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
}
