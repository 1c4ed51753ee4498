package login_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/client/login"
)

// TestCredentialsPrintAsStars checks that no way of printing shows a secret.
func TestCredentialsPrintAsStars(t *testing.T) {
	c := login.Credentials{Username: "ann", Password: "secret", IdentityToken: "secret", RegistryToken: "secret"}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "c", c, "p", &c, "s", c.Password)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "c", c, "p", &c, "s", c.Password)
	for _, format := range []string{"%v", "%+v", "%#v", "%q", "%s", "%x", "%d"} {
		fmt.Fprintf(&b, format+"\n", c)
		fmt.Fprintf(&b, format+"\n", &c)
		fmt.Fprintf(&b, format+"\n", c.Password)
	}
	j, err := json.Marshal(c)
	require.NoError(t, err)
	b.Write(j)
	// A Login has secrets in unexported fields.
	f := newFake()
	f.passwords()
	l, err := login.New("https://reg.test", &login.Options{Source: ann, Realms: []string{"auth.test"},
		Transport: f.transport()})
	require.NoError(t, err)
	cl, err := client.New("https://reg.test", &client.Options{HTTPClient: &http.Client{Transport: f.transport()},
		Authorize: l.Authorize, Challenge: l.Challenge})
	require.NoError(t, err)
	_, err = cl.Fetch(t.Context(), "a", digest.FromString("x"), nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	fmt.Fprintf(&b, "%v %+v %#v %s %+v", l, l, l, l, cl)
	requireNoSecrets(t, b.String())
	require.NotContains(t, b.String(), fmt.Sprintf("%x", "secret"))
	require.Contains(t, b.String(), "***")
}
