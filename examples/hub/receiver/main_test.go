package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/webhook"
)

// TestReceiver: signed events are printed, others are refused.
func TestReceiver(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	var out strings.Builder
	server := httptest.NewServer(&receiver{file: file, out: &out})
	defer server.Close()
	secret := auth.Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr")
	hook, err := webhook.New(server.URL, &webhook.Options{Format: format.JSON(), Secrets: []auth.Secret{secret},
		AllowPrivate: true})
	require.NoError(t, err)
	events := []notification.Event{{ID: notification.NewID(), Time: time.Now(), Action: notification.Push,
		Kind: notification.Manifest, Repository: "bob/app", Actor: "bob", Tags: []string{"v1"}}}
	require.ErrorContains(t, hook.Notify(t.Context(), events), "401", "the secret is missing")

	require.NoError(t, os.WriteFile(file, []byte(secret.Value()+"\n"), 0o600))
	require.NoError(t, hook.Notify(t.Context(), events))
	require.Equal(t, "push of manifest bob/app by bob: tags [v1]\n", out.String())

	require.NoError(t, os.WriteFile(file, []byte("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"), 0o600))
	require.ErrorContains(t, hook.Notify(t.Context(), events), "401")
}
