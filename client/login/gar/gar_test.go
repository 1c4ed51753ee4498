package gar_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/client/login/gar"
)

// account returns the tokens of a service account whose key names the token endpoint of Google at
// tokenURL.
func account(t *testing.T, tokenURL string) oauth2.TokenSource {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	file, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "robot@project.iam.gserviceaccount.com", "private_key_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": tokenURL,
	})
	require.NoError(t, err)
	config, err := google.JWTConfigFromJSON(file, gar.Scope)
	require.NoError(t, err)
	return config.TokenSource(t.Context())
}

// TestSource pulls from a registry that behaves as Artifact Registry: it wants Bearer tokens, which
// it issues for access tokens of Google.
func TestSource(t *testing.T) {
	oauth, tokens, refused := 0, 0, 0
	google := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		oauth++
		require.Equal(t, "urn:ietf:params:oauth:grant-type:jwt-bearer", r.PostFormValue("grant_type"))
		require.NotEmpty(t, r.PostFormValue("assertion"))
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"ya29.secret","expires_in":3599,"token_type":"Bearer"}`)
	}))
	defer google.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch user, password, _ := r.BasicAuth(); {
		case r.URL.Path == "/v2/token":
			tokens++
			require.Equal(t, "oauth2accesstoken ya29.secret", user+" "+password)
			require.Equal(t, "repository:project/repo/app:pull", r.URL.Query().Get("scope"))
			_, _ = io.WriteString(w, `{"expires_in":43200,"issued_at":"2026-01-02T03:04:05+00:00","token":"T"}`)
		case r.Header.Get("Authorization") == "Bearer T":
			w.WriteHeader(http.StatusNotFound)
		default:
			refused++
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/v2/token",service="`+r.Host+
				`",scope="repository:project/repo/app:pull"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	l, err := login.New(server.URL, &login.Options{Source: gar.Source(account(t, google.URL))})
	require.NoError(t, err)
	c, err := client.New(server.URL, &client.Options{Authorize: l.Authorize, Challenge: l.Challenge})
	require.NoError(t, err)
	for range 3 {
		_, err = c.StatBlob(t.Context(), "project/repo/app", digest.FromString("x"), nil)
		require.ErrorIs(t, err, registry.ErrBlobUnknown)
	}
	require.Equal(t, []int{1, 1, 1}, []int{oauth, tokens, refused})
}

func TestSourceCredentials(t *testing.T) {
	c, err := gar.Source(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "secret", Expiry: time.Unix(1, 0)}))(
		t.Context(), "gcr.io")
	require.NoError(t, err)
	require.Equal(t, login.Credentials{Username: "oauth2accesstoken", Password: "secret", Expires: time.Unix(1, 0)}, c)
	_, err = gar.Source(oauth2.StaticTokenSource(&oauth2.Token{}))(t.Context(), "gcr.io")
	require.ErrorContains(t, err, "is empty")

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"secret"}`)
	}))
	defer server.Close()
	_, err = gar.Source(account(t, server.URL))(t.Context(), "gcr.io")
	require.ErrorContains(t, err, `status 400`)
	require.NotContains(t, err.Error(), "secret")
	server.Close()
	_, err = gar.Source(account(t, server.URL))(t.Context(), "gcr.io")
	require.ErrorContains(t, err, "gar: fetching an access token")
}
