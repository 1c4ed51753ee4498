package login

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/registrykit/registry"
)

// Authorize adds credentials or a token to a request, as far as the Login knows what the registry
// wants. It fetches a token if it has none for the scope of the request. It changes no request to
// another host. It is for client.Options.Authorize.
//
// Errors: registry.ErrUnauthorized if the credentials are refused; registry.ErrDenied if the token
// service refuses the scope; registry.ErrTooManyRequests with the time to wait;
// registry.ErrUnavailable if the token service gives no valid response; those of the Source; that of
// the context of req.
func (l *Login) Authorize(req *http.Request) error {
	w := l.known()
	if w == nil || !l.ours(req.URL) || !safe(l.base) {
		return nil
	}
	scopes := l.scopes(req)
	if w.realm == nil {
		return l.authorizeBasic(req, scopes)
	}
	t, err := l.token(req.Context(), tokenKey{realm: w.realm.String(), service: w.service, scopes: scopes})
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+t.value)
	return nil
}

// authorizeBasic adds credentials for Basic authentication, if there are any.
func (l *Login) authorizeBasic(req *http.Request, scopes string) error {
	ctx := req.Context()
	h, err := l.keeper.get(ctx)
	if err != nil {
		return err
	}
	if r, ok := l.basic.Get(scopes); ok && r.holds(time.Now(), h.Credentials) {
		if h, ok = l.otherCredentials(ctx, h); !ok {
			return r.err
		}
	}
	username, password, ok := h.basic()
	switch {
	case !ok:
		return nil
	case strings.Contains(username, ":"):
		return errors.New("login: a username with a colon cannot be sent")
	}
	req.SetBasicAuth(username, password)
	return nil
}

// otherCredentials asks the Source again, because h was refused. It reports whether there are other
// credentials now. A failure of the Source counts as none.
func (l *Login) otherCredentials(ctx context.Context, h held) (held, bool) {
	next, err := l.keeper.again(ctx, h.call)
	if err != nil || next.same(h.Credentials) {
		return h, false
	}
	return next, true
}

// scopes returns the scopes for a request: those that a challenge has named for such a request, or
// else those derived from it.
func (l *Login) scopes(req *http.Request) string {
	derived, ok := scopesOf(req, l.base)
	if learned, ok := l.learned.Get(kindOf(req, derived, ok)); ok {
		return learned
	}
	if before := redirected(req); !ok && before != nil {
		return l.scopes(before) // such as for a download at another path of the registry
	}
	write := req.Method != http.MethodGet && req.Method != http.MethodHead
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case ok && write:
		l.pushing = derived
	case !ok && write:
		return l.pushing // probably a request of an upload
	}
	return derived
}

// redirected returns the request whose redirect led to req, or nil.
func redirected(req *http.Request) *http.Request {
	if req.Response == nil {
		return nil
	}
	return req.Response.Request
}

// nameSize is about the size of an entry about scopes, in bytes, without the text.
const nameSize = 256

// learn notes the scope of a challenge to a request, if it is more than the Login has asked for.
func (l *Login) learn(req *http.Request, scope string) {
	need := normalize(scope)
	if need == "" || covers(l.scopes(req), need) {
		return
	}
	derived, ok := scopesOf(req, l.base)
	kind := kindOf(req, derived, ok)
	l.learned.Add(kind, need, len(kind)+len(need)+nameSize)
}

// kindOf returns the key of Login.learned for a request.
func kindOf(req *http.Request, derived string, ok bool) string {
	if ok {
		return derived
	}
	return req.Method + " " + req.URL.Path
}

// refusedBasic is the error for Basic credentials that the registry has refused.
func (l *Login) refusedBasic() error {
	return registry.ErrUnauthorized.WithCause(errors.New("login: " + l.base.Host + " refuses the credentials"))
}
