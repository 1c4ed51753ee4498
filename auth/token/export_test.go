package token

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/registrykit/registry/auth/internal/scope"
)

// SetNow replaces the clock.
func (s *Service) SetNow(now func() time.Time) { s.now = now }

// Limits for the tests.
const (
	MaxScopes          = scope.Max
	MaxAnonymousScopes = maxAnonymousScopes
	MaxToken           = maxToken
	Refresh            = refresh
	Stale              = stale
	Retry              = retry
	Leeway             = leeway
)

// Issue fetches a token from the endpoint.
func (s *Service) Issue(t testing.TB, authorization, asked string) (string, error) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/token", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	scopes, err := scope.Parse([]string{asked})
	if err != nil {
		return "", err
	}
	a, err := s.issue(&query{r: r, login: r, scopes: scopes})
	if err != nil {
		return "", err
	}
	return a.Token, nil
}
