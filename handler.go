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

// call is the state of one request: parsed, authenticated, authorised, handled and answered. It
// holds its parts by value, so that a request takes one allocation. It is not used again for
// another request, because a Backend may keep the context for longer than the request takes.
type call struct {
	r        *Registry
	w        *pacedWriter // writer
	req      *http.Request
	ctx      requestContext // of the operations of the request
	body     requestBody
	routed   bool // target is set
	target   target
	query    url.Values
	op       Op              // with the names that the Backend has; without a kind until the request is routed
	backend  guard           // the registry as the caller sees it
	claim    handover.Claim  // memory of the storage, until send has taken the manifest over
	changing context.Context // see writeContext

	namespace string // the parameter ns as the client sent it, if Options.Resolve has accepted it

	rc     http.ResponseController
	writer pacedWriter
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
	c := &call{r: r, req: req, rc: *http.NewResponseController(w)}
	c.ctx.Context = req.Context()
	c.writer.init(w, &c.rc, &c.ctx, &r.opts)
	c.w = &c.writer
	c.w.set("Docker-Distribution-Api-Version", "registry/2.0")
	c.w.set("X-Content-Type-Options", "nosniff")
	c.body.init(w, &c.rc, req, &r.opts)
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
	g := &c.backend
	g.r, g.identity, g.request, g.decision = c.r, identity, c.req, c.newDecision(identity)
	c.ctx.identity = identity
	if err := g.authorizeRequest(&c.ctx, &c.op); err != nil {
		return err
	}
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
	if err != nil {
		return auth.Identity{}, c.notAuthenticated(err)
	}
	return identity, nil
}

// notAuthenticated records that an Authenticator has refused a request or failed with err, and
// returns the error for the client.
func (c *call) notAuthenticated(err error) error {
	var limit *auth.LimitError
	switch {
	case errors.Is(err, auth.ErrCredentials):
		c.r.audit(c.req.Context(), c.newDecision(auth.Identity{}), nil, "", err)
		return ErrUnauthorized.WithMessage("invalid credentials").WithCause(err)
	case errors.As(err, &limit):
		c.r.audit(c.req.Context(), c.newDecision(auth.Identity{}), nil, "", err)
		return ErrTooManyRequests.WithMessage("too many failed logins").WithRetryAfter(limit.RetryAfter).WithCause(err)
	}
	err = fmt.Errorf("authenticate: %w", err)
	if u := unavailable(err); u != nil {
		return u
	}
	return err
}

// writeContext returns the context of a change. It outlives the client: a change that has begun is
// completed, and received bytes are kept, even if the client disconnects.
func (c *call) writeContext() context.Context {
	if c.changing == nil {
		c.changing = context.WithoutCancel(&c.ctx)
	}
	return c.changing
}

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
	// Nearly every request target is the path that arrives here, and needs no parsing.
	if rest, ok := strings.CutPrefix(c.req.RequestURI, c.req.URL.Path); ok && (rest == "" || rest[0] == '?') {
		return ""
	}
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
