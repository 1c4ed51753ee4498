package webhook_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/webhook"
)

// BenchmarkNotify measures an attempt without a network: encode, sign, and everything around it.
func BenchmarkNotify(b *testing.B) {
	private, _, err := webhook.NewKeyPair()
	require.NoError(b, err)
	for name, secrets := range map[string][]auth.Secret{
		"unsigned": nil, "hmac": {webhook.NewSecret()}, "ed25519": {private},
	} {
		b.Run(name, func(b *testing.B) {
			w, err := webhook.New("https://ci.example/hook", &webhook.Options{
				Secrets: secrets, Format: format.CNCF(nil),
				Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					_, err := io.Copy(io.Discard, r.Body)
					return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, err
				}),
			})
			require.NoError(b, err)
			events := pushes(1)
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Notify(b.Context(), events); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
