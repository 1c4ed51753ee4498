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

// answer is what the endpoint gives: both names of the token are in use.
type answer struct {
	Token       string `json:"token"`
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"` // seconds
	IssuedAt    string `json:"issued_at"`
}

// Handler returns a handler that answers the path of the endpoint and leaves the rest to next.
func (s *Service) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == s.opts.Path {
			s.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ServeHTTP is the endpoint, wherever it is mounted: GET with the parameters service and scope. It
// gives a token for the allowed part of what was asked, which may be nothing. Credentials that are
// wrong are a 401, so that a login with them fails, and so are those that the Authenticator did not
// look at.
//
// POST, by which OAuth 2 would ask, is a 404: that is what clients take for "use GET".
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	wire.Bound(w, r)
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost:
		wire.Refuse(w, r, http.StatusNotFound, "UNSUPPORTED", "tokens are given to GET")
		return
	default:
		h.Set("Allow", http.MethodGet)
		wire.Refuse(w, r, http.StatusMethodNotAllowed, "UNSUPPORTED", "tokens are given to GET")
		return
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		wire.Refuse(w, r, http.StatusBadRequest, "UNSUPPORTED", "invalid query string")
		return
	}
	if services := q["service"]; len(services) > 1 || len(services) == 1 && services[0] != s.opts.Service {
		wire.Refuse(w, r, http.StatusBadRequest, "UNSUPPORTED", "tokens for another service")
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

// issue authenticates the caller and makes a token.
//
// Errors: auth.ErrCredentials, *auth.LimitError, errTooLong; those of the Authenticator, the
// Authorizer and the secrets.
func (s *Service) issue(r *http.Request, scopes []scope) (*answer, error) {
	identity, err := s.users.Authenticate(r)
	if err == nil && identity.Anonymous() && len(r.Header["Authorization"]) > 0 {
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
	return &answer{
		Token: token, AccessToken: token,
		ExpiresIn: int(s.opts.Lifetime / time.Second), IssuedAt: now.UTC().Format(time.RFC3339),
	}, nil
}

// allowed asks for one access, under whatever tag it will be.
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
