package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain lets the test program be the registry, because the example starts itself.
func TestMain(m *testing.M) {
	if os.Getenv(dirVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestWebhook(t *testing.T) {
	var out strings.Builder
	require.NoError(t, story(t.Context(), &out))
	t.Log("\n" + out.String())
	require.Equal(t, `The receiver is down: it answers 503.
Pushed ann/app:v1. The registry has acknowledged it with 201.
Killed the registry with SIGKILL. The receiver has received nothing.
The receiver is up. Started the registry again, on the same directory.
  received, with a valid signature: push of a blob in ann/app []
  received, with a valid signature: push of a blob in ann/app []
  received, with a valid signature: push of a manifest in ann/app [v1]
Everything has arrived. A replay of the stored events:
  stored: push of a blob in ann/app []
  stored: push of a blob in ann/app []
  stored: push of a manifest in ann/app [v1]
`, out.String())
}
