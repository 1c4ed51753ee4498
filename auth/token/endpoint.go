package token

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/registrykit/registry/internal/wire"
)

const (
	// keysSuffix and revokeSuffix follow the path of the endpoint in the paths of the other two.
	keysSuffix   = "/keys"
	revokeSuffix = "/revoke"
)

// Handler returns a handler that serves the endpoint at Options.Path, the keys at Options.Path +
// "/keys" and, with Options.Refresh, the revocation of refresh tokens at Options.Path + "/revoke".
// It passes all other requests to next, which is usually the registry.
func (s *Service) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch rest, ok := strings.CutPrefix(r.URL.Path, s.opts.Path); {
		case ok && (rest == "" || rest == keysSuffix || rest == revokeSuffix && s.opts.Refresh != nil):
			s.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// ServeHTTP serves the endpoint, wherever it is mounted. If the path of the request is not
// Options.Path and ends with "/keys" or "/revoke", ServeHTTP serves the keys or the revocation
// instead; see [Service.JWKS] and [RefreshTokens].
//
// The endpoint responds to GET, with the parameters service and scope in the query string and
// credentials in the header, with a token for the allowed part of the scopes. That part may be
// empty. It responds to POST in the same way, with a form of OAuth 2 (RFC 6749):
//
//   - grant_type=password, with the parameters username and password. The Authenticator gets them
//     as Basic, so its limits apply. A request with an Authorization header as well gets 400.
//   - grant_type=refresh_token, with the parameter refresh_token. The scopes may differ from those
//     of earlier requests. Without Options.Refresh, the status is 404, because clients such as
//     containerd then try GET.
//
// The password grant needs no Options.Refresh. The clients that send it accept a token in response:
// containerd for each token, and "helm login". After a refusal they try GET. So a wrong password of
// theirs counts twice at the Authenticator; with a 404 for each POST, every token of theirs would
// cost two requests instead.
//
// With offline_token=true in the query string or access_type=offline in the form, the response
// also has a refresh token, if Options.Refresh is set and the caller can have one.
//
// Wrong credentials get 401, so that a login with them fails; podman reports a wrong password only
// for this status. A refusal of a POST has a body in the formats of both RFC 6749 and the registry.
// A request with an Authorization header for which the Authenticator returns no name also gets 401:
// otherwise a login with credentials that the Authenticator ignores would seem to succeed. Caches
// must not store a response, except for the keys.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	wire.Bound(w, r)
	path := r.URL.Path
	switch {
	case path != s.opts.Path && strings.HasSuffix(path, keysSuffix):
		s.serveKeys(w, r)
	case path != s.opts.Path && strings.HasSuffix(path, revokeSuffix):
		s.serveRevocation(w, r)
	default:
		s.serveToken(w, r)
	}
}

// serveToken issues a token.
func (s *Service) serveToken(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	var q *query
	var refused *refusal
	switch r.Method {
	case http.MethodGet:
		q, refused = s.fromURL(r)
	case http.MethodPost:
		q, refused = s.fromForm(w, r)
	default:
		refuseMethod(w, r, "GET, POST")
		return
	}
	if refused != nil {
		s.refuse(w, r, refused)
		return
	}
	response, err := s.issue(q)
	wire.Bound(w, r)
	if err != nil {
		s.refuse(w, r, s.refusalOf(r, err))
		return
	}
	writeJSON(w, http.StatusOK, response)
}

// serveKeys responds with the public keys.
func (s *Service) serveKeys(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refuseMethod(w, r, "GET, HEAD")
		return
	}
	content, err := s.JWKS(r.Context())
	wire.Bound(w, r)
	if err != nil {
		s.refuse(w, r, s.refusalOf(r, err))
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(keysMaxAge.Seconds())))
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content)
}

// serveRevocation revokes a refresh token (RFC 7009). An unknown token, or one that is not a refresh
// token, is not an error.
func (s *Service) serveRevocation(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case s.opts.Refresh == nil:
		s.refuse(w, r, &refusal{http.StatusNotFound, "UNSUPPORTED", "unsupported_token_type", "no refresh tokens", 0})
		return
	case r.Method != http.MethodPost:
		refuseMethod(w, r, http.MethodPost)
		return
	}
	form, refused := readForm(w, r, "token", "token_type_hint", "client_id")
	if refused == nil && form.Get("token") == "" {
		refused = badRequest("the parameter token is missing")
	}
	if refused != nil {
		s.refuse(w, r, refused)
		return
	}
	err := s.opts.Refresh.RevokeToken(r.Context(), form.Get("token"))
	wire.Bound(w, r)
	if err != nil {
		s.refuse(w, r, s.refusalOf(r, err))
		return
	}
	w.WriteHeader(http.StatusOK)
}

// report passes an error that the response does not contain to Options.Error.
func (s *Service) report(ctx context.Context, err error) {
	if s.opts.Error != nil {
		s.opts.Error(ctx, err)
	}
}
