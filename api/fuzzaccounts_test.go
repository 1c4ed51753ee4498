package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/internal/apicheck"
)

// TestFuzzAccounts is TestFuzz with the parts about accounts.
func TestFuzzAccounts(t *testing.T) {
	s := newSite(t, func(s *site, opts *api.Options) {
		opts.Accounts = s.people
		var err error
		opts.SignUp, err = accounts.NewSignUps(s.people, &accounts.SignUpOptions{Attempts: fuzzRequests})
		require.NoError(t, err)
		opts.Authenticator = auth.AuthenticatorFunc(func(r *http.Request) (auth.Identity, error) { // of any password
			name, _, ok := r.BasicAuth()
			if !ok {
				return auth.Identity{}, nil
			}
			acc, err := s.people.Lookup(r.Context(), name)
			if err != nil {
				return auth.Identity{}, auth.ErrCredentials
			}
			return auth.Identity{Name: acc.Name, Claims: map[string]any{accounts.AccountClaim: string(acc.ID)}}, nil
		})
	})
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	g := apicheck.NewGenerator(s.check, seed, map[string][]string{
		"user": {"ann", "bob", "boss"}, "account": {"ann", "bob", "boss", "acme+deploy"}, "organisation": {"acme"},
		"namespace": {"acme", "ann"},
	})
	for i := range fuzzRequests {
		s.fuzz(t, g, g.Next(), []string{"", "ann", "bob", "boss", "boss"}[i%5])
	}
}
