package acr_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/client/login/acr"
)

// credential is an azcore.TokenCredential, as package azidentity has them.
type credential struct {
	calls int
	err   error
}

func (c *credential) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.calls++
	if len(o.Scopes) != 1 || o.Scopes[0] != acr.DefaultScope {
		return azcore.AccessToken{}, fmt.Errorf("scopes %q", o.Scopes)
	}
	return azcore.AccessToken{Token: "entra", ExpiresOn: time.Now().Add(time.Hour)}, c.err
}

// refreshToken returns a refresh token as the service issues them.
func refreshToken(exp time.Time) string {
	payload := fmt.Sprintf(`{"jti":"x","grant_type":"refresh_token","exp":%d}`, exp.Unix())
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

// noRetries are options for requests to a server at a URL.
func noRetries(url string) *acr.Options {
	o := &acr.Options{Endpoint: url, Tenant: "tenant"}
	o.Client.Retry.MaxRetries = -1
	return o
}

// TestSource pulls from a registry that behaves as Azure's.
func TestSource(t *testing.T) {
	exchanges, tokens, refused := 0, 0, 0
	refresh := refreshToken(time.Now().Add(3 * time.Hour))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/oauth2/exchange":
			exchanges++
			require.Equal(t, []string{"access_token", r.Host, "tenant", "entra"}, []string{r.PostFormValue("grant_type"),
				r.PostFormValue("service"), r.PostFormValue("tenant"), r.PostFormValue("access_token")})
			_, _ = io.WriteString(w, `{"refresh_token":"`+refresh+`"}`)
		case r.URL.Path == "/oauth2/token":
			tokens++
			require.Equal(t, []string{"refresh_token", r.Host, "repository:app:pull", refresh}, []string{
				r.PostFormValue("grant_type"), r.PostFormValue("service"), r.PostFormValue("scope"),
				r.PostFormValue("refresh_token")})
			_, _ = io.WriteString(w, `{"access_token":"T"}`)
		case r.Header.Get("Authorization") == "Bearer T":
			w.WriteHeader(http.StatusNotFound)
		default:
			refused++
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/oauth2/token",service="`+r.Host+
				`",scope="repository:app:pull",error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	l, err := login.New(server.URL, &login.Options{Source: acr.Source(&credential{}, noRetries(server.URL))})
	require.NoError(t, err)
	c, err := client.New(server.URL, &client.Options{Authorize: l.Authorize, Challenge: l.Challenge})
	require.NoError(t, err)
	for range 3 {
		_, err = c.StatBlob(t.Context(), "app", digest.FromString("x"), nil)
		require.ErrorIs(t, err, registry.ErrBlobUnknown)
	}
	require.Equal(t, []int{1, 1, 1}, []int{exchanges, tokens, refused})
}

func TestSourceCredentials(t *testing.T) {
	end := time.Now().Add(3 * time.Hour).Truncate(time.Second)
	status, body := 200, `{"refresh_token":"`+refreshToken(end)+`"}`
	location, redirected := "", false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		redirected = redirected || r.URL.Path == "/elsewhere"
		w.Header().Set("Content-Type", "application/json")
		if location != "" {
			w.Header().Set("Location", location)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	cred := &credential{}
	s := acr.Source(cred, noRetries(server.URL))
	c, err := s(t.Context(), "a")
	require.NoError(t, err)
	require.True(t, end.Equal(c.Expires))
	require.Equal(t, refreshToken(end), c.IdentityToken.Value())
	_, err = s(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 1, cred.calls)

	body = `{"refresh_token":"opaque"}`
	c, err = s(t.Context(), "b")
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(time.Hour), c.Expires, time.Minute)

	for _, body = range []string{`{}`, `{"refresh_token":""}`, `x`} {
		_, err = s(t.Context(), "c")
		require.ErrorContains(t, err, "acr: ", body)
	}
	status, body = 401, `{"errors":[{"code":"UNAUTHORIZED","message":"secret"}]}`
	_, err = s(t.Context(), "c")
	require.ErrorContains(t, err, "status 401")
	require.NotContains(t, err.Error(), "secret")
	status, location = http.StatusTemporaryRedirect, server.URL+"/elsewhere"
	_, err = s(t.Context(), "c")
	require.ErrorContains(t, err, "status 307")
	require.False(t, redirected)
	cred.err = errors.New("no identity")
	_, err = s(t.Context(), "c")
	require.ErrorIs(t, err, cred.err)
}

// TestOtherHostsRefused checks that a token of Microsoft Entra goes to registries of Azure only.
func TestOtherHostsRefused(t *testing.T) {
	cred := &credential{err: errors.New("asked")}
	s := acr.Source(cred, nil)
	for _, host := range []string{"", "azurecr.io", ".azurecr.io", "azurecr.io.evil.test", "evil.test", "xazurecr.io",
		"evil.test/.azurecr.io", "evil.test#.azurecr.io", "user@a.azurecr.io"} {
		_, err := s(t.Context(), host)
		require.ErrorContains(t, err, "is no registry of Azure", host)
	}
	for _, host := range []string{"a.azurecr.io", "A.AzureCR.io:443", "a.azurecr.cn", "a.region.azurecr.us"} {
		_, err := s(t.Context(), host)
		require.ErrorIs(t, err, cred.err, host)
	}
}
