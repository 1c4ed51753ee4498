package token

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/scope"
)

// maxAnonymousScopes is the maximum number of scopes of a caller without a name; the last ones count, see
// scope.Parse. Each may cost an Authorizer several requests to a storage, so that strangers could
// multiply their requests by hundreds. Callers without a name cannot push, and so mount no blobs from many
// repositories at once.
const maxAnonymousScopes = 32

// tokenResponse is the body of a response of the endpoint. It has the token twice, because some
// clients read the field token and others access_token.
type tokenResponse struct {
	Token        string `json:"token"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	IssuedAt     string `json:"issued_at"`
	// TokenType and Scope are in responses to POST. Scope is what the Authorizer allows.
	TokenType string  `json:"token_type,omitempty"`
	Scope     *string `json:"scope,omitempty"`
}

// issue authenticates the caller and returns a token.
//
// Errors: auth.ErrCredentials, *auth.LimitError, *auth.UnavailableError, errTooLong; those of the
// Authenticator, the Authorizer, the secrets and the storage of refresh tokens.
func (s *Service) issue(q *query) (*tokenResponse, error) {
	ctx := q.r.Context()
	identity, err := s.identify(q)
	if err != nil || len(q.scopes) == 0 {
		s.audit(q.r, auth.Decision{Identity: identity, Allowed: err == nil, Err: err})
	}
	if err != nil {
		return nil, err
	}
	if n := len(q.scopes) - maxAnonymousScopes; n > 0 && identity.Anonymous() {
		q.scopes = q.scopes[n:]
	}
	list, err := s.grant(q, identity)
	if err != nil {
		return nil, err
	}
	now := s.now().Truncate(time.Second)
	token, err := s.sign(ctx, identity, list, now)
	if err != nil {
		return nil, err
	}
	response := &tokenResponse{
		Token: token, AccessToken: token,
		ExpiresIn: int(s.opts.Lifetime / time.Second), IssuedAt: now.UTC().Format(time.RFC3339),
	}
	if q.offline {
		response.RefreshToken = s.offline(ctx, q, identity)
	}
	if q.r.Method == http.MethodPost {
		granted := texts(list)
		response.TokenType, response.Scope = "Bearer", &granted
	}
	return response, nil
}

// identify returns the caller who has sent the credentials.
//
// Errors: as issue.
func (s *Service) identify(q *query) (auth.Identity, error) {
	if q.refresh != "" {
		return s.renew(q.r.Context(), q.refresh)
	}
	identity, err := s.users.Authenticate(q.login)
	if err == nil && identity.Anonymous() && len(q.login.Header["Authorization"]) > 0 &&
		(!s.opts.Foreign || len(q.scopes) == 0) { // a login asks for no scope
		err = auth.ErrCredentials
	}
	return identity, err
}

// grant returns the part of the requested scopes that the Authorizer allows.
//
// Errors: those of the Authorizer.
func (s *Service) grant(q *query, identity auth.Identity) ([]scope.Grant, error) {
	list := []scope.Grant{}
	for _, asked := range q.scopes {
		asked.Name = s.resolve(asked)
		g := scope.Grant{Type: asked.Type, Class: asked.Class, Name: asked.Name}
		for _, a := range asked.Accesses() {
			ok, err := s.allowed(q.r, identity, a)
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
	return list, nil
}

// resolve returns the name of a scope as the registry has it.
func (s *Service) resolve(asked scope.Scope) string {
	if asked.Type == auth.TypeRepository && s.opts.Resolve != nil {
		return s.opts.Resolve(asked.Name)
	}
	return asked.Name
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

// texts returns grants as the text of scopes.
func texts(list []scope.Grant) string {
	all := make([]string, len(list))
	for i, g := range list {
		actions := make([]string, len(g.Actions))
		for j, a := range g.Actions {
			actions[j] = string(a)
		}
		kind := g.Type
		if g.Class != "" {
			kind += "(" + g.Class + ")"
		}
		all[i] = kind + ":" + g.Name + ":" + strings.Join(actions, ",")
	}
	return strings.Join(all, " ")
}

// renew returns the current identity of the owner of a refresh token.
//
// Errors: auth.ErrCredentials if the token or its login is no longer valid; those of the storage and of
// the Authenticator.
func (s *Service) renew(ctx context.Context, value string) (auth.Identity, error) {
	r, err := s.opts.Refresh.lookUp(ctx, s.opts.Service, value)
	if err != nil {
		return auth.Identity{}, err
	}
	identity, err := auth.Renew(ctx, s.users, r.identity())
	if err == nil && identity.Anonymous() {
		err = auth.ErrCredentials
	}
	if err != nil {
		return auth.Identity{}, err
	}
	if err := s.opts.Refresh.used(ctx, r); err != nil {
		s.report(ctx, err) // the token then seems to be unused for longer than it is
	}
	return identity, nil
}

// offline returns a refresh token, or "" if the caller cannot have one. The login succeeds anyway:
// clients without a refresh token keep the password.
func (s *Service) offline(ctx context.Context, q *query, identity auth.Identity) string {
	switch {
	case q.refresh != "":
		return q.refresh
	case s.opts.Refresh == nil || identity.Anonymous():
		return ""
	}
	subject := s.opts.Refresh.opts.Subject(identity)
	if subject == "" {
		return ""
	}
	r, err := newRecord(s.opts.Service, subject, q.client, identity)
	if err == nil {
		// Only a caller who can be renewed from what is stored gets a refresh token.
		_, err = auth.Renew(ctx, s.users, r.identity())
	}
	value := ""
	if err == nil {
		value, err = s.opts.Refresh.create(ctx, r)
	}
	if err != nil && !errors.Is(err, auth.ErrCredentials) {
		s.report(ctx, err)
	}
	return value
}
