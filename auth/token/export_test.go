package token

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// SetNow replaces the clock.
func (s *Service) SetNow(now func() time.Time) { s.now = now }

// Limits for the tests.
const (
	MaxScopes = maxScopes
	MaxToken  = maxToken
	Refresh   = refresh
	Stale     = stale
	Retry     = retry
	Leeway    = leeway
)

// Issue fetches a token from the endpoint.
func (s *Service) Issue(t testing.TB, authorization, scope string) (string, error) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/token", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	asked, err := parseScope(scope)
	if err != nil {
		return "", err
	}
	a, err := s.issue(r, []scopeOf{asked})
	if err != nil {
		return "", err
	}
	return a.Token, nil
}

type scopeOf = scope
