package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/static"
	"github.com/registrykit/registry/registrytest"
)

// loggedIn lets everybody do everything who has logged in.
var loggedIn = auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, _ []auth.Access) error {
	if who.Anonymous() {
		return auth.ErrDenied
	}
	return nil
})

// TestCopyLogsIn uses the credentials of a docker configuration.
func TestCopyLogsIn(t *testing.T) {
	users, err := static.New(map[string]static.User{"ann": {Secret: "secret"}}, nil)
	require.NoError(t, err)
	a := registrytest.NewServer(t, nil)
	b := registrytest.NewServer(t, &registry.Options{Authenticator: users, Authorizer: loggedIn})
	image := registrytest.RandomImage(1, 2, 1000)
	require.NoError(t, image.Push(t.Context(), a.Store, "team/app", "v1"))
	args := []string{a.URL + "/team/app:v1", b.URL + "/team/app:v1"}

	t.Setenv("DOCKER_CONFIG", t.TempDir()) // empty: nobody has logged in
	status, _, errs := call(t.Context(), args...)
	require.Equal(t, failed, status)
	require.Contains(t, errs, "UNAUTHORIZED")

	file := filepath.Join(t.TempDir(), "config.json")
	encoded := base64.StdEncoding.EncodeToString([]byte("ann:secret"))
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, b.Host, encoded), 0o600))
	status, _, errs = call(t.Context(), append(args, "-docker-config", file)...)
	require.Zero(t, status, errs)
	requireSame(t, b.Store, "team/app:v1", image)
}
