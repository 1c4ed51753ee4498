package sse

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/wire"
)

// retryAfter is how many seconds a refused client should wait.
const retryAfter = "10"

// sourceTimeout is how long a new client waits for the Source.
const sourceTimeout = 10 * time.Second

// ServeHTTP streams events until the client disconnects, its credentials are no longer valid, or
// the Handler is closed. It refuses a request in the JSON format of the registry: with 405 unless
// the method is GET, 400 for a bad parameter, 401 or 429 as the registry does, and 503 if there are
// MaxClients streams or the Source does not respond.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		wire.Refuse(w, r, http.StatusMethodNotAllowed, "UNSUPPORTED", "the method is not allowed here")
		return
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	var q query
	if err == nil {
		q, err = parseQuery(values)
	}
	resume := r.Header.Get("Last-Event-ID")
	if resume == "" {
		resume = values.Get("after")
	}
	if err == nil && (len(resume) > maxCursor || strings.ContainsAny(resume, "\r\n\x00")) {
		err = errors.New("malformed event ID")
	}
	if err != nil {
		wire.Refuse(w, r, http.StatusBadRequest, "UNSUPPORTED", err.Error())
		return
	}
	identity, ok := h.admit(w, r, q)
	if !ok {
		return
	}
	f, err := h.join()
	if err != nil {
		unavailable(w, r, "there are too many streams of events")
		return
	}
	defer h.leave()
	if !h.await(r.Context(), f) {
		unavailable(w, r, "events are not available")
		return
	}
	c := &client{
		h: h, w: w, r: r, rc: http.NewResponseController(w), query: q, checked: time.Now(),
		viewer: viewer{authorizer: h.opts.Authorizer, identity: identity, recheck: h.opts.Recheck},
	}
	c.stream(resume)
}

// unavailable refuses a request with 503.
func unavailable(w http.ResponseWriter, r *http.Request, message string) {
	w.Header().Set("Retry-After", retryAfter)
	wire.Refuse(w, r, http.StatusServiceUnavailable, "UNAVAILABLE", message)
}

// await waits until the follower knows where the log ends, if there is a follower.
func (h *Handler) await(ctx context.Context, f *follower) bool {
	select {
	case <-h.closed:
		return false
	default:
	}
	if f == nil {
		return true
	}
	t := time.NewTimer(sourceTimeout)
	defer t.Stop()
	select {
	case <-f.ready:
		return true
	case <-ctx.Done():
	case <-h.closed:
	case <-t.C:
	}
	return false
}

// admit identifies the caller. If it returns false, it has responded.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request, q query) (auth.Identity, bool) {
	o := &h.opts
	if o.Authenticator == nil {
		return auth.Identity{}, true
	}
	identity, err := o.Authenticator.Authenticate(r)
	var limit *auth.LimitError
	switch {
	case errors.As(err, &limit):
		w.Header().Set("Retry-After", strconv.FormatInt(int64(math.Ceil(limit.RetryAfter.Seconds())), 10))
		wire.Refuse(w, r, http.StatusTooManyRequests, "TOOMANYREQUESTS", "too many failed logins")
	case errors.Is(err, auth.ErrCredentials):
		h.challenge(w, r, q, "invalid credentials")
	case err != nil:
		h.log.ErrorContext(r.Context(), "sse: authenticating failed", "error", err)
		wire.Refuse(w, r, http.StatusInternalServerError, "UNKNOWN", "internal error")
	case identity.Anonymous() && len(identity.Claims) == 0 && o.Authorizer != nil &&
		!auth.AllowsAnonymous(r.Context(), o.Authorizer):
		h.challenge(w, r, q, "authentication required")
	default:
		return identity, true
	}
	return auth.Identity{}, false
}

// challenge refuses a request with 401. The challenge asks for pull access to the repositories that
// the request names, or for the catalog.
func (h *Handler) challenge(w http.ResponseWriter, r *http.Request, q query, message string) {
	var accesses []auth.Access
	for _, name := range q.repositories {
		if !strings.ContainsAny(name, `*?[]{}\`) {
			accesses = append(accesses, in(name, auth.Pull, ""))
		}
	}
	if accesses == nil {
		accesses = []auth.Access{{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All}}
	}
	if text := h.opts.Authenticator.Challenge(r, accesses); text != "" {
		w.Header().Set("WWW-Authenticate", text)
	}
	wire.Refuse(w, r, http.StatusUnauthorized, "UNAUTHORIZED", message)
}
