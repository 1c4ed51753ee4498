package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/handover"
)

// call is the state of one request: parsed, authenticated, authorised, handled and answered.
type call struct {
	r       *Registry
	w       *pacedWriter
	req     *http.Request
	ctx     requestContext // of the operations of the request
	body    *requestBody
	routed  bool // target is set
	target  target
	query   url.Values
	op      *Op            // with the names that the Backend has
	backend *guard         // the registry as the caller sees it
	claim   handover.Claim // memory of the storage, until send has taken the manifest over

	namespace string // the parameter ns as the client sent it, if Options.Resolve has accepted it
}

// ServeHTTP serves the requests of the distribution spec. Their URL paths begin with /v2/.
// Locations in responses are relative to the host and keep a prefix that [http.StripPrefix] has
// removed.
//
// It authorises the operation before it reads the body and before it looks anything up. Each
// failure becomes the status and code of an [*Error], in the JSON format of the spec.
//
// If a response cannot be completed, ServeHTTP panics with [http.ErrAbortHandler], so that the
// client does not mistake it for a complete one.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h.Set("Docker-Distribution-Api-Version", "registry/2.0")
	h.Set("X-Content-Type-Options", "nosniff")
	rc := http.NewResponseController(w)
	c := &call{r: r, req: req, body: newRequestBody(w, rc, req, &r.opts)}
	c.ctx.Context = req.Context()
	c.w = &pacedWriter{w, sending(rc, &r.opts), &c.ctx}
	defer c.body.finish()
	if err := c.serve(); err != nil {
		c.fail(err)
	}
}

func (c *call) serve() error {
	t, err := parseURL(c.req.URL)
	if err != nil {
		return err
	}
	c.routed, c.target = true, t
	if c.req.URL.RawQuery != "" {
		if c.query, err = url.ParseQuery(c.req.URL.RawQuery); err != nil {
			return errQuery.WithCause(err)
		}
	}
	ns, err := c.namespaceParam()
	if err != nil {
		return err
	}
	if t.endpoint == endpointBase {
		return c.base()
	}
	route, ok := c.r.routes[t.endpoint].byMethod[c.req.Method]
	if !ok {
		return errMethod
	}
	if c.op, err = route.op(t, c.query); err != nil {
		return err
	}
	if err := c.resolve(ns); err != nil {
		return err
	}
	identity, err := c.authenticate()
	if err != nil {
		return err
	}
	c.backend = &guard{r: c.r, identity: identity, request: c.req, decision: c.newDecision(identity)}
	if ctx := withIdentity(c.req.Context(), identity); ctx != c.req.Context() {
		c.req = c.req.WithContext(ctx)
		c.ctx.Context = ctx
	}
	if err := c.backend.authorize(&c.ctx, c.op); err != nil {
		return err
	}
	c.backend.granted = c.op.Access()
	return route.handle(c)
}

// errMethod is returned when an endpoint does not have the method.
var errMethod = ErrUnsupported.WithMessage("the method is not allowed here")

// base answers /v2/, by which clients detect a registry and learn how to log in. An anonymous
// caller with claims has already followed the challenge, so it gets a 200.
func (c *call) base() error {
	if c.req.Method != http.MethodGet && c.req.Method != http.MethodHead {
		return errMethod
	}
	identity, err := c.authenticate()
	if err != nil {
		return err
	}
	o := &c.r.opts
	if identity.Anonymous() && len(identity.Claims) == 0 && o.Authenticator != nil && o.Authorizer != nil &&
		o.Authenticator.Challenge(c.req, nil) != "" {
		return ErrUnauthorized
	}
	return c.writeJSON("application/json", []byte("{}"))
}

// authenticate returns the identity of the sender.
func (c *call) authenticate() (auth.Identity, error) { return c.authenticateBy(nil) }

// authenticateBy returns the identity of the sender by a, or by Options.Authenticator if a is nil.
func (c *call) authenticateBy(a auth.Authenticator) (auth.Identity, error) {
	if a == nil {
		a = c.r.opts.Authenticator
	}
	if a == nil {
		return auth.Identity{}, nil
	}
	identity, err := a.Authenticate(c.req)
	var limit *auth.LimitError
	switch {
	case err == nil:
		return identity, nil
	case errors.Is(err, auth.ErrCredentials):
		c.r.audit(c.req.Context(), c.newDecision(auth.Identity{}), nil, "", err)
		return auth.Identity{}, ErrUnauthorized.WithMessage("invalid credentials").WithCause(err)
	case errors.As(err, &limit):
		c.r.audit(c.req.Context(), c.newDecision(auth.Identity{}), nil, "", err)
		return auth.Identity{}, ErrTooManyRequests.WithMessage("too many failed logins").WithRetryAfter(
			limit.RetryAfter).WithCause(err)
	}
	err = fmt.Errorf("authenticate: %w", err)
	if u := unavailable(err); u != nil {
		return auth.Identity{}, u
	}
	return auth.Identity{}, err
}

// writeContext returns the context of a change. It outlives the client: a change that has begun is
// completed, and received bytes are kept, even if the client disconnects.
func (c *call) writeContext() context.Context { return context.WithoutCancel(&c.ctx) }

// location returns the host-relative URL of t. Its repository is the one that the client knows.
func (c *call) location(t target) string {
	path := c.prefix() + t.path()
	if c.namespace != "" {
		path += "?ns=" + url.QueryEscape(c.namespace)
	}
	return path
}

// prefix returns what outer handlers have removed from the path of the request: the start of the
// request target, if the path here is the rest of it, and otherwise "".
func (c *call) prefix() string {
	u, err := url.ParseRequestURI(c.req.RequestURI) // origin-form or absolute-form, RFC 9112, section 3.2
	if err != nil {
		return ""
	}
	prefix, ok := strings.CutSuffix(u.EscapedPath(), c.req.URL.EscapedPath())
	if !ok || !strings.HasPrefix(prefix, "/") || strings.HasPrefix(prefix, "//") {
		return "" // a prefix of two slashes would name another host
	}
	return prefix
}
