package login

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/registrykit/registry"
)

// maxErrorBody is the number of bytes of the body of a 403 that are read.
const maxErrorBody = 64 << 10

// Challenge reads the challenge of a response with the status 401 or 403. It reports whether the
// request should be sent again, after another call of Authorize. It is for client.Options.Challenge.
//
// After a 401, the request should be sent again if the Login had not known what the registry wants,
// if the token can be replaced, or if the Source has other credentials now. After a 403, it should
// if the Source has other credentials, or if the body says that the token has expired, as that of
// ECR does.
//
// Errors: registry.ErrUnauthorized with the cause ErrRealm if the registry names a token service
// that is not allowed; registry.ErrUnauthorized if the registry wants credentials and is not at
// https or loopback; those of the Source.
func (l *Login) Challenge(res *http.Response) (retry bool, err error) {
	if res.Request == nil || !l.ours(res.Request.URL) {
		return false, nil
	}
	switch res.StatusCode {
	case http.StatusUnauthorized:
		return l.unauthorized(res)
	case http.StatusForbidden:
		return l.forbidden(res)
	}
	return false, nil
}

// unauthorized is Challenge for the status 401.
func (l *Login) unauthorized(res *http.Response) (bool, error) {
	w, scope, err := l.choose(parseChallenges(res.Header.Values("WWW-Authenticate")))
	switch {
	case err != nil || w == nil:
		return false, err
	case !safe(l.base):
		return false, registry.ErrUnauthorized.WithCause(
			errors.New("login: credentials are sent over https or to loopback only"))
	}
	l.mu.Lock()
	l.way = w
	l.mu.Unlock()
	req := res.Request
	l.learn(req, scope)
	scheme, value, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	switch {
	case w.realm == nil:
		return l.answerBasic(req)
	case !strings.EqualFold(scheme, "Bearer"):
		return true, nil
	}
	return l.replace(req.Context(), w, l.scopes(req), value), nil
}

// choose returns what the registry wants, and the scope of the challenge. It prefers tokens. It
// returns nil if there is no challenge that a Login can answer.
//
// Errors: that of realms.check, if no other challenge can be answered.
func (l *Login) choose(challenges []challenge) (w *way, scope string, err error) {
	for _, c := range challenges {
		realm := c.params["realm"]
		switch {
		case c.scheme == "basic" && w == nil:
			w = &way{}
		case c.scheme == "bearer" && realm != "":
			u, rerr := l.realms.check(realm)
			if rerr == nil {
				return &way{realm: u, service: c.params["service"]}, c.params["scope"], nil
			}
			err = rerr
		}
	}
	if w != nil {
		err = nil
	}
	return w, "", err
}

// answerBasic decides whether a request that was refused with a challenge for Basic should be sent
// again. If it had the credentials of the Source, the Login remembers that they are refused.
func (l *Login) answerBasic(req *http.Request) (bool, error) {
	h, err := l.keeper.get(req.Context())
	if err != nil {
		return false, err
	}
	if !carries(req, h.Credentials) {
		return true, nil
	}
	if _, ok := l.otherCredentials(req.Context(), h); ok {
		return true, nil
	}
	if !h.anonymous() {
		scopes := l.scopes(req)
		r, _ := l.basic.Get(scopes)
		l.basic.Add(scopes, r.again(time.Now(), h.Credentials, l.refusedBasic()), len(scopes)+nameSize)
	}
	return false, nil
}

// carries reports whether a request has these credentials for Basic authentication. A request
// without an Authorization header has those of an anonymous caller.
func carries(req *http.Request, c Credentials) bool {
	username, password, ok := c.basic()
	if !ok {
		return req.Header.Get("Authorization") == ""
	}
	u, p, sent := req.BasicAuth()
	return sent && u == username && p == password
}

// replace decides whether a request whose token was refused should be sent again. If so, the refused
// token is forgotten. A token that was fetched just now is not replaced: a registry may refuse every
// token of a caller without access.
func (l *Login) replace(ctx context.Context, w *way, scopes, value string) bool {
	s := l.slot(tokenKey{realm: w.realm.String(), service: w.service, scopes: scopes})
	t := s.current()
	if t == nil || t.value != value {
		return true // there is another token now, or there will be
	}
	if l.changed(ctx, t) {
		s.drop(t, false)
		return true
	}
	return t.credentials.RegistryToken == "" && s.drop(t, true)
}

// changed asks the Source, and reports whether it has other credentials than those of t.
func (l *Login) changed(ctx context.Context, t *token) bool {
	h, err := l.keeper.again(ctx, l.keeper.current().call)
	return err == nil && !h.same(t.credentials)
}

// forbidden is Challenge for the status 403.
func (l *Login) forbidden(res *http.Response) (bool, error) {
	req, w := res.Request, l.known()
	scheme, value, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	switch {
	case w == nil || scheme == "":
		return false, nil
	case w.realm == nil:
		h, err := l.keeper.get(req.Context())
		if err != nil {
			return false, err
		}
		if !carries(req, h.Credentials) {
			return true, nil
		}
		_, other := l.otherCredentials(req.Context(), h)
		return other, nil
	}
	scopes := l.scopes(req)
	if saysExpired(res.Body) {
		return l.replace(req.Context(), w, scopes, value), nil
	}
	s := l.slot(tokenKey{realm: w.realm.String(), service: w.service, scopes: scopes})
	if t := s.current(); t != nil && t.value == value && l.changed(req.Context(), t) {
		s.drop(t, false)
		return true, nil
	}
	return false, nil
}

// saysExpired reports whether an error response says that a token or credentials have expired. The
// body may be nil.
func saysExpired(body io.Reader) bool {
	if body == nil {
		return false
	}
	b, _ := io.ReadAll(io.LimitReader(body, maxErrorBody)) // what came counts
	b = bytes.ToLower(b)
	return bytes.Contains(b, []byte("expired")) &&
		(bytes.Contains(b, []byte("token")) || bytes.Contains(b, []byte("credential")))
}
