package accounts_test

import (
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/accounts/accountstest"
)

func now() time.Time { return time.Now() }

// FuzzAuthorization: whatever a request has as Authorization, the answer is an identity whose
// credentials are right, or auth.ErrCredentials.
func FuzzAuthorization(f *testing.F) {
	facts := accountstest.Sample(now())
	secret := accounts.NewSecretValue(accounts.User, accountstest.Carol, "fuzzedaaaa")
	facts.Secrets = append(facts.Secrets, accounts.Secret{ID: "fuzzedaaaa", Owner: accountstest.Carol,
		Hash: accounts.HashSecret(secret)})
	directory := accountstest.NewMemory(facts)
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	right := map[string]string{}
	for name, pass := range map[string]string{"carol": secret, "ann": accountstest.Password(accountstest.Ann),
		"dave": accountstest.Password(accountstest.Dave), "acme": "x", "francis": accountstest.Password(accountstest.Frank)} {
		f.Add("Basic "+encode(name+":"+pass), "")
		right[encode(name+":"+pass)] = name
	}
	for _, s := range []string{"", "Basic", "Bearer", "Basic :", "bearer " + secret, "Bearer " + secret + " ",
		"Basic " + encode(":"), "Basic " + encode(":"+secret), "Bearer\t" + secret, "Negotiate x",
		"Bearer " + secret[:68], "Bearer " + secret + secret,
		"Basic " + encode("carol:"+secret+"\x00"), "Basic " + encode("carol\x00:x")} {
		f.Add(s, "")
	}
	f.Add("Bearer "+secret, "Bearer "+secret)
	f.Fuzz(func(t *testing.T, first, second string) {
		logins, err := accounts.NewAuthenticator(directory, nil)
		require.NoError(t, err)
		r := httptest.NewRequest("GET", "/v2/", nil)
		r.Header["Authorization"] = []string{first}
		if second != "" {
			r.Header["Authorization"] = append(r.Header["Authorization"], second)
		}
		who, err := logins.Authenticate(r)
		if err != nil {
			require.ErrorIs(t, err, auth.ErrCredentials)
			require.False(t, errors.As(err, new(*auth.UnavailableError)))
			require.Zero(t, who)
			return
		}
		require.Empty(t, second)
		user, pass, basic := r.BasicAuth()
		if !basic {
			require.Contains(t, first, secret)
			user, pass = "carol", secret
		}
		require.Equal(t, user, who.Name)
		require.Equal(t, user, right[encode(user+":"+pass)])
		require.Contains(t, []string{"carol", "ann"}, user)
	})
}
