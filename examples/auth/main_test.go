package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

// TestAuth checks that, over TLS, everybody may pull, ann may push, and a wrong password fails.
func TestAuth(t *testing.T) {
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	require.NoError(t, err)
	users, policy := filepath.Join(dir, "users"), filepath.Join(dir, "rules.yaml")
	require.NoError(t, os.WriteFile(users, fmt.Appendf(nil, "ann:%s\n", hash), 0o600))
	require.NoError(t, os.WriteFile(policy, []byte(`
rules:
  - {who: everyone, repositories: "**", actions: pull}
  - {who: {user: ann}, repositories: "**", actions: [push, overwrite]}
`), 0o600))
	driver, err := disk.New(filepath.Join(dir, "data"), nil)
	require.NoError(t, err)
	store, err := storage.New(t.Context(), driver, nil)
	require.NoError(t, err)
	handler, err := newHandler(store, users, policy)
	require.NoError(t, err)
	server := httptest.NewTLSServer(handler)
	defer server.Close()
	as := func(user, password string) *client.Client {
		c, err := client.New(server.URL, &client.Options{HTTPClient: server.Client(), Authorize: func(r *http.Request) error {
			if user != "" {
				r.SetBasicAuth(user, password)
			}
			return nil
		}})
		require.NoError(t, err)
		return c
	}
	img := registrytest.RandomImage(1, 2, 1000)
	require.NoError(t, img.Push(t.Context(), as("ann", "secret"), "app", "v1"))
	require.Error(t, img.Push(t.Context(), as("", ""), "app", "v2"))
	require.Error(t, img.Push(t.Context(), as("ann", "wrong"), "app", "v2"))

	_, err = as("", "").GetManifest(t.Context(), "app", reference.Ref{Tag: "v1"})
	require.NoError(t, err)

	res, err := server.Client().Get(server.URL + "/v2/")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusUnauthorized, res.StatusCode, "docker learns here how to log in")
	require.True(t, strings.HasPrefix(res.Header.Get("WWW-Authenticate"), `Bearer realm="https://`))
}
