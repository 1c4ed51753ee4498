package foreign_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/foreign"
	"github.com/registrykit/registry/auth/static"
	"github.com/registrykit/registry/registrytest"
)

// pushNeedsName lets everybody pull, and named callers do everything.
func pushNeedsName(_ context.Context, identity auth.Identity, accesses []auth.Access) error {
	for _, a := range accesses {
		if identity.Anonymous() && a.Action != auth.Pull {
			return auth.ErrDenied
		}
	}
	return nil
}

func users(t testing.TB) auth.Authenticator {
	t.Helper()
	u, err := static.New(map[string]static.User{"ann": {Secret: "right"}}, nil)
	require.NoError(t, err)
	return u
}

// TestForeignCredentialsAreAnonymous: credentials of another registry are no reason to refuse a
// pull, no right to push, and in no log.
func TestForeignCredentialsAreAnonymous(t *testing.T) {
	var logged bytes.Buffer
	s := registrytest.NewServer(t, &registry.Options{
		Authenticator: foreign.Anonymous(users(t)), Authorizer: auth.AuthorizerFunc(pushNeedsName),
		Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	for _, row := range []struct {
		method, path, user, password string
		status                       int
	}{
		{"GET", "/v2/", "hub-user", "hub-password", 401}, // docker login with a wrong password fails
		{"GET", "/v2/", "ann", "right", 200},
		{"GET", "/v2/a/manifests/x", "hub-user", "hub-password", 404},
		{"GET", "/v2/a/manifests/x", "ann", "mistyped", 404},
		{"POST", "/v2/a/blobs/uploads/", "hub-user", "hub-password", 401},
		{"POST", "/v2/a/blobs/uploads/", "ann", "mistyped", 401},
		{"POST", "/v2/a/blobs/uploads/", "ann", "right", 202},
	} {
		req, err := http.NewRequestWithContext(t.Context(), row.method, s.URL+row.path, nil)
		require.NoError(t, err)
		req.SetBasicAuth(row.user, row.password)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, row.status, res.StatusCode, "%v", row)
		if row.status == 401 {
			require.NotEmpty(t, res.Header.Get("WWW-Authenticate"))
		}
	}
	require.NotContains(t, logged.String(), "hub-")
}

// TestOtherErrorsStay: a failing Authenticator lets nobody in.
func TestOtherErrorsStay(t *testing.T) {
	down := errors.New("down")
	for _, row := range []struct{ err, want error }{
		{down, down},
		{auth.ErrCredentials, nil},
		{fmt.Errorf("wrapped: %w", auth.ErrCredentials), nil},
		{&auth.LimitError{RetryAfter: time.Minute}, nil},
	} {
		a := foreign.Anonymous(auth.AuthenticatorFunc(func(*http.Request) (auth.Identity, error) {
			return auth.Identity{Name: "eve"}, row.err
		}))
		identity, err := a.Authenticate(httptest.NewRequest("GET", "/v2/", nil))
		require.Equal(t, row.want, err)
		if err == nil {
			require.Equal(t, auth.Identity{}, identity)
		}
	}
}

func ExampleAnonymous() {
	known, err := static.New(map[string]static.User{"ann": {Secret: "a long random text"}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	a := foreign.Anonymous(known)
	r := httptest.NewRequest("GET", "/v2/", nil)
	r.SetBasicAuth("docker-hub-user", "docker-hub-password")
	identity, err := a.Authenticate(r)
	fmt.Println(identity.Anonymous(), err)
	// Output: true <nil>
}
