package token

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// SetNow sets the clock.
func (l *Logins) SetNow(now func() time.Time) { l.now = now }

// The limits.
const (
	MaxScopes = maxScopes
	MaxToken  = maxToken
	Refresh   = refresh
	Stale     = stale
	Retry     = retry
	Leeway    = leeway
)

// Issue fetches a token from the endpoint.
func (l *Logins) Issue(t testing.TB, authorization, scope string) (string, error) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/token", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	s, err := parseScope(scope)
	if err != nil {
		return "", err
	}
	a, err := l.issue(r, []scopeOf{s})
	if err != nil {
		return "", err
	}
	return a.Token, nil
}

type scopeOf = scope
