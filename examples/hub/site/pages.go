package site

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/examples/internal/process"
	"github.com/registrykit/registry/internal/hostname"
	"github.com/registrykit/registry/internal/wire"
	"github.com/registrykit/registry/middleware"
)

// openPages puts the parts behind one handler.
func (h *Hub) openPages(context.Context) error {
	own, err := h.own()
	if err != nil {
		return err
	}
	images, err := h.images()
	if err != nil {
		return err
	}
	parts := &parts{
		images: h.http.Part("registry", images),
		api:    h.http.Part("api", own(http.StripPrefix("/api", h.api))),
		signIn: h.http.Part("signin", own(http.StripPrefix(signInPath, h.signIn))),
		page:   h.http.Part("page", h.ownHost(h.page)),
	}
	handler := h.traced(parts)
	handler = process.Health(h.driver, map[string]http.Handler{"/metrics": own(http.HandlerFunc(h.showMetrics))}, handler)
	if h.config.Server.LogAccess {
		handler = process.AccessLog(h.log, registry.LogPath, handler)
	}
	h.handler = middleware.Forwarded(handler, h.config.Server.TrustedProxies)
	return nil
}

// trueURL is the key of the URL of a request in its context.
type trueURL struct{}

// traced makes a span for each request to next. A span has the path, so it gets that for a log.
func (h *Hub) traced(next http.Handler) http.Handler {
	spans := otelhttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(r.Context()) // a copy
		r.URL = r.Context().Value(trueURL{}).(*url.URL)
		next.ServeHTTP(w, r)
	}), "request", otelhttp.WithTracerProvider(h.spans))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown := r.WithContext(context.WithValue(r.Context(), trueURL{}, r.URL))
		shown.URL = &url.URL{Path: registry.LogPath(r)} // without the query, which may have a token
		spans.ServeHTTP(w, shown)
	})
}

// parts are the parts of a hub by path. http.ServeMux would redirect paths with "//" or ".." that the registry rejects.
type parts struct{ images, api, signIn, page http.Handler }

func (p *parts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case path == "/v2", strings.HasPrefix(path, "/v2/"):
		p.images.ServeHTTP(w, r)
	case strings.HasPrefix(path, "/api/"):
		p.api.ServeHTTP(w, r)
	case strings.HasPrefix(path, signInPath+"/"):
		p.signIn.ServeHTTP(w, r)
	default:
		p.page.ServeHTTP(w, r)
	}
}

// images returns the registry with the token endpoint. Rules may allow anonymous callers to push, so pages of other
// origins must not.
func (h *Hub) images() (http.Handler, error) {
	reg := http.Handler(h.registry)
	if h.mirror != nil {
		reg = h.mirror.Middleware(reg)
	}
	origins := h.config.Server.CORS
	reg, err := middleware.SameOrigin(h.tokens.Handler(reg), origins...)
	if err != nil || len(origins) == 0 {
		return reg, err
	}
	return middleware.CORS(reg, &middleware.CORSOptions{Origins: origins})
}

// own returns a function that protects the API and the sign-in of the hub, which take cookies, from pages of other
// origins and from slow clients. The page protects itself.
func (h *Hub) own() (func(http.Handler) http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(refuseOrigin))
	external, err := url.Parse(h.config.Server.ExternalURL)
	if err != nil {
		return nil, err
	}
	if external.Host != "" {
		if err := protection.AddTrustedOrigin(external.Scheme + "://" + external.Host); err != nil {
			return nil, err
		}
	}
	return func(next http.Handler) http.Handler { return wire.Pace(h.ownHost(protection.Handler(next))) }, nil
}

// ownHost returns a handler that serves next under no other host name than that of the URL of the hub, or on a loopback
// address than that one (DNS rebinding).
func (h *Hub) ownHost(next http.Handler) http.Handler {
	var hosts []string
	if external, err := url.Parse(h.config.Server.ExternalURL); err == nil && external.Host != "" {
		hosts = append(hosts, external.Hostname())
	}
	if len(hosts) > 0 || hostname.Loopback(h.addr) {
		return middleware.LocalHost(next, hosts...)
	}
	return next
}

// bounded gives clients a minute to read a page.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wire.Bound(w, r)
		next.ServeHTTP(w, r)
	})
}

// showMetrics shows the metrics to callers with access.
func (h *Hub) showMetrics(w http.ResponseWriter, r *http.Request) {
	caller, err := h.registry.Caller(r, h.sessions.Authenticator(h.users))
	if err == nil {
		err = caller.Authorize(r.Context(), auth.Access{Type: auth.TypeRegistry, Name: auth.NameMetrics, Action: auth.Read})
	}
	var refused *registry.Error
	switch {
	case err == nil:
		h.Metrics().ServeHTTP(w, r)
		return
	case !errors.As(err, &refused):
		refused = registry.ErrInternal
	}
	if refused.Status() == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="hub"`)
	}
	http.Error(w, refused.Message(), refused.Status())
}

// Metrics returns the handler of the metrics, for everybody who reaches it.
func (h *Hub) Metrics() http.Handler {
	return bounded(promhttp.HandlerFor(h.metrics, promhttp.HandlerOpts{}))
}

// refuseOrigin sends the problem that the API and the sign-in describe.
func refuseOrigin(w http.ResponseWriter, r *http.Request) {
	wire.Bound(w, r)
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "application/problem+json")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusForbidden)
	_ = json.NewEncoder(w).Encode(types.Problem{Type: "about:blank", Title: http.StatusText(http.StatusForbidden),
		Status: http.StatusForbidden, Code: "CROSS_ORIGIN", Detail: "a page of another origin sent the request"})
}
