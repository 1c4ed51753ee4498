package auth_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
)

// TestSecretHidden: no verb, encoder or logger reveals a secret or a value that contains one.
func TestSecretHidden(t *testing.T) {
	const word = "hunter2"
	secret := auth.Secret(word)
	type config struct {
		Password auth.Secret
		More     map[string]auth.Secret
		List     []auth.Secret
		Pointer  *auth.Secret
	}
	holder := config{secret, map[string]auth.Secret{"a": secret}, []auth.Secret{secret}, &secret}
	shown := func(s string) {
		t.Helper()
		require.NotContains(t, s, word)
		require.NotContains(t, s, fmt.Sprintf("%x", word))
		require.NotContains(t, s, fmt.Sprintf("%X", word))
		require.NotContains(t, s, fmt.Sprint([]byte(word)))
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%+q", "%#q", "%x", "%X", "% x", "%#x", "%d", "%10.2s",
		"%U", "%c", "%z"} {
		require.Equal(t, "***", fmt.Sprintf(verb, secret))
		for _, v := range []any{secret, &secret, holder, &holder, []any{secret}, errors.Join(fmt.Errorf("for %v", secret))} {
			shown(fmt.Sprintf(verb, v))
		}
	}
	shown(secret.String() + secret.GoString() + fmt.Sprint(secret) + fmt.Sprintln(holder))

	for _, v := range []any{secret, holder} {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		shown(string(b))
	}
	type element struct{ Secret auth.Secret }
	b, err := xml.Marshal(element{secret})
	require.NoError(t, err)
	shown(string(b))
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("x", "secret", secret, "holder", holder, slog.Group("g", "s", &secret))
	}
	shown(log.String())
	require.Contains(t, log.String(), "secret=***")
}

// TestSecretRead: configuration is decoded as usual, and Value returns the secret.
func TestSecretRead(t *testing.T) {
	var v struct{ Password auth.Secret }
	require.NoError(t, json.Unmarshal([]byte(`{"Password":"hunter2"}`), &v))
	require.Equal(t, "hunter2", v.Password.Value())
}

func TestSecretEqual(t *testing.T) {
	require.True(t, auth.Secret("a").Equal("a"))
	for _, given := range []string{"", "b", "aa", "***", "A"} {
		require.False(t, auth.Secret("a").Equal(given))
	}
	require.False(t, auth.Secret("").Equal(""), "a key that was never set lets nobody in")
}
