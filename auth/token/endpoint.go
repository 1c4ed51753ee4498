package token

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/wire"
)

// tokenResponse is the body of a response of the endpoint. It has the token twice, because some
// clients read the field token and others access_token.
type tokenResponse struct {
	Token       string `json:"token"`
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"` // seconds
	IssuedAt    string `json:"issued_at"`
}

// Handler returns a handler that serves the endpoint at Options.Path and passes all other requests
// to next, which is usually the registry.
func (s *Service) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == s.opts.Path {
			s.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ServeHTTP serves the endpoint, wherever it is mounted. It responds to GET, with the parameters
// service and scope, with a token for the allowed part of the scopes. That part may be empty.
//
// Wrong credentials get 401, so that a login with them fails. A request with an Authorization
// header for which the Authenticator returns no name also gets 401: otherwise a login with
// credentials that the Authenticator ignores would seem to succeed. POST, which OAuth 2 uses, gets
// 404, because clients then try GET. Caches must not store a response.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	wire.Bound(w, r)
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost:
		wire.Refuse(w, r, http.StatusNotFound, "UNSUPPORTED", "the endpoint supports GET only")
		return
	default:
		h.Set("Allow", http.MethodGet)
		wire.Refuse(w, r, http.StatusMethodNotAllowed, "UNSUPPORTED", "the endpoint supports GET only")
		return
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		wire.Refuse(w, r, http.StatusBadRequest, "UNSUPPORTED", "invalid query string")
		return
	}
	if services := q["service"]; len(services) > 1 || len(services) == 1 && services[0] != s.opts.Service {
		wire.Refuse(w, r, http.StatusBadRequest, "UNSUPPORTED", "the service is not that of this registry")
		return
	}
	scopes, err := parseScopes(q)
	if err != nil {
		wire.Refuse(w, r, http.StatusBadRequest, "UNSUPPORTED", "malformed scope")
		return
	}
	a, err := s.issue(r, scopes)
	wire.Bound(w, r)
	var limit *auth.LimitError
	switch {
	case err == nil:
		content, _ := json.Marshal(a) // strings and a number
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content)
	case errors.Is(err, auth.ErrCredentials):
		if challenge := s.users.Challenge(r, nil); challenge != "" {
			h.Set("WWW-Authenticate", challenge)
		}
		wire.Refuse(w, r, http.StatusUnauthorized, "UNAUTHORIZED", "invalid credentials")
	case errors.As(err, &limit):
		h.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(limit.RetryAfter.Seconds())), 10))
		wire.Refuse(w, r, http.StatusTooManyRequests, "TOOMANYREQUESTS", "too many failed logins")
	case errors.Is(err, errTooLong):
		wire.Refuse(w, r, http.StatusBadRequest, "UNSUPPORTED", "the token would be too long")
	default:
		if s.opts.Error != nil {
			s.opts.Error(r.Context(), err)
		}
		wire.Refuse(w, r, http.StatusInternalServerError, "UNKNOWN", "internal error")
	}
}

// resolve returns the name of a scope as the registry has it.
func (s *Service) resolve(asked scope) string {
	if asked.kind == auth.TypeRepository && s.opts.Resolve != nil {
		return s.opts.Resolve(asked.name)
	}
	return asked.name
}

// issue authenticates the caller and returns a token.
//
// Errors: auth.ErrCredentials, *auth.LimitError, errTooLong; those of the Authenticator, the
// Authorizer and the secrets.
func (s *Service) issue(r *http.Request, scopes []scope) (*tokenResponse, error) {
	identity, err := s.users.Authenticate(r)
	if err == nil && identity.Anonymous() && len(r.Header["Authorization"]) > 0 &&
		(!s.opts.Foreign || len(scopes) == 0) { // a login asks for no scope
		err = auth.ErrCredentials
	}
	if err != nil || len(scopes) == 0 {
		s.audit(r, auth.Decision{Identity: identity, Allowed: err == nil, Err: err})
	}
	if err != nil {
		return nil, err
	}
	list := []grant{}
	for _, asked := range scopes {
		asked.name = s.resolve(asked)
		g := grant{Type: asked.kind, Class: asked.class, Name: asked.name}
		for _, a := range asked.accesses() {
			ok, err := s.allowed(r, identity, a)
			if err != nil {
				return nil, err
			}
			if ok {
				g.Actions = append(g.Actions, a.Action)
			}
		}
		if len(g.Actions) > 0 {
			list = append(list, g)
		}
	}
	now := s.now().Truncate(time.Second)
	token, err := s.sign(r.Context(), identity, list, now)
	if err != nil {
		return nil, err
	}
	return &tokenResponse{
		Token: token, AccessToken: token,
		ExpiresIn: int(s.opts.Lifetime / time.Second), IssuedAt: now.UTC().Format(time.RFC3339),
	}, nil
}

// allowed reports whether the Authorizer allows an access for at least one tag.
func (s *Service) allowed(r *http.Request, identity auth.Identity, a auth.Access) (bool, error) {
	accesses := []auth.Access{a}
	rule, err := auth.Scope(r.Context(), s.rules, identity, accesses)
	s.audit(r, auth.Decision{Identity: identity, Accesses: accesses, Allowed: err == nil, Rule: rule, Err: err})
	if errors.Is(err, auth.ErrDenied) || errors.Is(err, auth.ErrScope) {
		return false, nil
	}
	return err == nil, err
}

func (s *Service) audit(r *http.Request, d auth.Decision) {
	if s.opts.Audit == nil {
		return
	}
	d.Method, d.Path, d.RemoteAddr, d.UserAgent = r.Method, r.URL.Path, r.RemoteAddr, r.UserAgent()
	s.opts.Audit(context.WithoutCancel(r.Context()), d)
}
