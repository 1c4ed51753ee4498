package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
)

// An Authenticator for the API keys of a program. Clients such as docker send a key as the password
// of Basic, with "docker login".
func ExampleAuthenticatorFunc() {
	const key = auth.Secret("k-8c1f")
	keys := auth.AuthenticatorFunc(func(r *http.Request) (auth.Identity, error) {
		name, given, ok := r.BasicAuth()
		switch {
		case len(r.Header["Authorization"]) == 0:
			return auth.Identity{}, nil
		case !ok || !key.Equal(given):
			return auth.Identity{}, auth.ErrCredentials
		}
		return auth.Identity{Name: name}, nil
	}).WithChallenge(`Basic realm="registry"`)

	r := httptest.NewRequest("GET", "/v2/", nil)
	fmt.Println(keys.Authenticate(r))
	r.SetBasicAuth("ann", "k-8c1f")
	fmt.Println(keys.Authenticate(r))
	fmt.Println(keys.Challenge(r, nil))
	// Output:
	// { [] map[]} <nil>
	// {ann [] map[]} <nil>
	// Basic realm="registry"
}

// A configuration with a Secret can be logged.
func ExampleSecret() {
	config := struct{ Password auth.Secret }{"hunter2"}
	fmt.Printf("%v %+q\n", config, config.Password)
	fmt.Println(config.Password.Equal("hunter2"), len(config.Password.Value()))
	// Output:
	// {***} ***
	// true 7
}

// TestLimitError: the registry and the token endpoint both respond to a LimitError with 429 and
// Retry-After.
func TestLimitError(t *testing.T) {
	limited := auth.AuthenticatorFunc(func(*http.Request) (auth.Identity, error) {
		return auth.Identity{}, fmt.Errorf("wrapped: %w", &auth.LimitError{RetryAfter: 1500 * time.Millisecond})
	}).WithChallenge(`Basic realm="registry"`)
	store := registrytest.NewStore(t)
	tokens, err := token.New(store, limited, open, nil)
	require.NoError(t, err)
	var told []auth.Decision
	reg, err := registry.New(store, &registry.Options{Authenticator: limited,
		Audit: func(_ context.Context, d auth.Decision) { told = append(told, d) }})
	require.NoError(t, err)
	for _, path := range []string{"/v2/", "/v2/a/tags/list", "/v2/token"} {
		w := httptest.NewRecorder()
		tokens.Handler(reg).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		require.Equal(t, 429, w.Code, path)
		require.Equal(t, "2", w.Header().Get("Retry-After"), path)
		require.Contains(t, w.Body.String(), "TOOMANYREQUESTS", path)
		require.Empty(t, w.Header()["Www-Authenticate"], path)
	}
	require.Len(t, told, 2)
	require.ErrorAs(t, told[0].Err, new(*auth.LimitError))
	require.False(t, told[0].Allowed)
}

var open = auth.AuthorizerFunc(func(context.Context, auth.Identity, []auth.Access) error { return nil })
