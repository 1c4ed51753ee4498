package webhook_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	foreign "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification/webhook"
)

// capture returns the request that a Webhook with secrets sends for some events.
func capture(t *testing.T, secrets ...auth.Secret) received {
	t.Helper()
	var got received
	w := local(t, "https://ci.example/hook", &webhook.Options{
		Secrets: secrets,
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			got = received{r.Header, body}
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, err
		}),
	})
	require.NoError(t, w.Notify(t.Context(), pushes(2)))
	return got
}

func foreignVerifier(t *testing.T, s auth.Secret) *foreign.Webhook {
	t.Helper()
	v, err := foreign.NewWebhook(s.Value())
	require.NoError(t, err)
	return v
}

// TestForeignLibraryVerifies: the Go library of Standard Webhooks accepts the requests, with each
// of two secrets, and refuses altered, old and future ones.
func TestForeignLibraryVerifies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, other := webhook.NewSecret(), webhook.NewSecret(), webhook.NewSecret()
		r := capture(t, first, second)
		require.NoError(t, foreignVerifier(t, first).Verify(r.body, r.header))
		require.NoError(t, foreignVerifier(t, second).Verify(r.body, r.header))
		require.ErrorIs(t, foreignVerifier(t, other).Verify(r.body, r.header), foreign.ErrNoMatchingSignature)
		signatures := strings.Fields(r.header.Get("webhook-signature"))
		require.Len(t, signatures, 2)
		seconds, err := strconv.ParseInt(r.header.Get("webhook-timestamp"), 10, 64)
		require.NoError(t, err)
		sign, err := foreignVerifier(t, first).Sign(r.header.Get("webhook-id"), time.Unix(seconds, 0), r.body)
		require.NoError(t, err)
		require.Equal(t, sign, signatures[0], "the first secret signs first")

		altered := bytes.Replace(r.body, []byte("team/app"), []byte("team/apq"), 1)
		require.ErrorIs(t, foreignVerifier(t, first).Verify(altered, r.header), foreign.ErrNoMatchingSignature)
		for _, name := range []string{"webhook-id", "webhook-timestamp"} {
			h := r.header.Clone()
			h.Set(name, h.Get(name)[:len(h.Get(name))-1]+"0")
			if h.Get(name) == r.header.Get(name) {
				h.Set(name, h.Get(name)[:len(h.Get(name))-1]+"1")
			}
			require.ErrorIs(t, foreignVerifier(t, first).Verify(r.body, h), foreign.ErrNoMatchingSignature, name)
		}
		time.Sleep(5*time.Minute + time.Second) // in the time of the bubble
		require.ErrorIs(t, foreignVerifier(t, first).Verify(r.body, r.header), foreign.ErrMessageTooOld)
	})
}

// TestAttempts: each attempt has the same ID and body, and a timestamp and signature of its own.
func TestAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []http.Header
		secret := webhook.NewSecret()
		w := local(t, "https://ci.example/hook", &webhook.Options{
			Secrets: []auth.Secret{secret},
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				body, err := io.ReadAll(r.Body)
				require.NoError(t, err)
				require.NoError(t, foreignVerifier(t, secret).Verify(body, r.Header))
				got = append(got, r.Header.Clone())
				return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody}, nil
			}),
		})
		events := pushes(3)
		require.Error(t, w.Notify(t.Context(), events))
		time.Sleep(72 * time.Hour)
		require.Error(t, w.Notify(t.Context(), events))
		require.Len(t, got, 2)
		require.Equal(t, got[0].Get("webhook-id"), got[1].Get("webhook-id"))
		require.NotEqual(t, got[0].Get("webhook-timestamp"), got[1].Get("webhook-timestamp"))
		require.NotEqual(t, got[0].Get("webhook-signature"), got[1].Get("webhook-signature"))
		require.NotContains(t, got[0].Get("webhook-id"), ".")
	})
}

// TestEd25519: the signature is that of the text which Standard Webhooks describes.
func TestEd25519(t *testing.T) {
	private, public, err := webhook.NewKeyPair()
	require.NoError(t, err)
	r := capture(t, webhook.NewSecret(), private)
	signatures := strings.Fields(r.header.Get("webhook-signature"))
	require.Len(t, signatures, 2)
	encoded, found := strings.CutPrefix(signatures[1], "v1a,")
	require.True(t, found)
	signature, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(public, "whpk_"))
	require.NoError(t, err)
	text := r.header.Get("webhook-id") + "." + r.header.Get("webhook-timestamp") + "." + string(r.body)
	require.True(t, ed25519.Verify(key, []byte(text), signature))
}

// TestVerifier accepts what was signed by the foreign library and by this package, and nothing else.
func TestVerifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, secret := webhook.NewSecret(), webhook.NewSecret()
		private, public, err := webhook.NewKeyPair()
		require.NoError(t, err)
		v, err := webhook.NewVerifier([]auth.Secret{secret, auth.Secret(public)}, nil)
		require.NoError(t, err)

		body := []byte(`{"a": 1}`)
		sign, err := foreignVerifier(t, secret).Sign("msg_1", time.Now(), body)
		require.NoError(t, err)
		h := http.Header{}
		h.Set(webhook.HeaderID, "msg_1")
		h.Set(webhook.HeaderTimestamp, fmt.Sprint(time.Now().Unix()))
		h.Set(webhook.HeaderSignature, "v1 v2,x v1,%%% v1a,AAAA "+sign)
		require.NoError(t, v.Verify(h, body))
		h.Set(webhook.HeaderSignature, strings.Repeat("v1,AAAA ", 20)+sign)
		require.ErrorIs(t, v.Verify(h, body), webhook.ErrSignature, "too many signatures")
		require.ErrorIs(t, v.Verify(http.Header{}, body), webhook.ErrSignature)

		for _, signers := range [][]auth.Secret{{secret}, {old, secret}, {private}, {old, private}} {
			r := capture(t, signers...)
			require.NoError(t, v.Verify(r.header, r.body))
			require.ErrorIs(t, v.Verify(r.header, append(bytes.Clone(r.body), ' ')), webhook.ErrSignature)
			h := r.header.Clone()
			h.Set(webhook.HeaderID, h.Get(webhook.HeaderID)+"0")
			require.ErrorIs(t, v.Verify(h, r.body), webhook.ErrSignature)
			for _, timestamp := range []string{"", "x", "-1", "+1", " 1", "1e9", "99999999999999999999",
				fmt.Sprint(time.Now().Add(301 * time.Second).Unix()), fmt.Sprint(time.Now().Add(-301 * time.Second).Unix())} {
				h := r.header.Clone()
				h.Set(webhook.HeaderTimestamp, timestamp)
				require.ErrorIs(t, v.Verify(h, r.body), webhook.ErrTimestamp, timestamp)
			}
			time.Sleep(301 * time.Second)
			require.ErrorIs(t, v.Verify(r.header, r.body), webhook.ErrTimestamp)
		}
		for _, signers := range [][]auth.Secret{nil, {old}} {
			r := capture(t, signers...)
			require.ErrorIs(t, v.Verify(r.header, r.body), webhook.ErrSignature)
		}
	})
}

// TestKnownSignature accepts the request of the test vectors of Standard Webhooks.
func TestKnownSignature(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	century := &webhook.VerifierOptions{Tolerance: 100 * 365 * 24 * time.Hour}
	v, err := webhook.NewVerifier([]auth.Secret{secret}, century)
	require.NoError(t, err)
	h := http.Header{}
	h.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	h.Set("webhook-timestamp", "1614265330")
	h.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	require.NoError(t, v.Verify(h, []byte(`{"test": 2432232314}`)))
}

func TestVerifierRead(t *testing.T) {
	secret := webhook.NewSecret()
	v, err := webhook.NewVerifier([]auth.Secret{secret}, &webhook.VerifierOptions{MaxBody: 2000})
	require.NoError(t, err)
	r := capture(t, secret)
	for _, c := range []struct {
		body []byte
		ok   bool
	}{{r.body, true}, {r.body[1:], false}, {nil, false}, {bytes.Repeat([]byte("x"), 2001), false}} {
		req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(c.body))
		req.Header = r.header
		body, err := v.Read(req)
		require.Equal(t, c.ok, err == nil)
		if c.ok {
			require.Equal(t, r.body, body)
		}
		var tooLarge *http.MaxBytesError
		require.Equal(t, len(c.body) > 2000, err != nil && errors.As(err, &tooLarge))
	}
}

// TestSecrets: malformed secrets are refused, and errors do not contain them.
func TestSecrets(t *testing.T) {
	private, public, err := webhook.NewKeyPair()
	require.NoError(t, err)
	seed := "whsk_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	mixed := base64.StdEncoding.EncodeToString(append(bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{8}, 32)...))
	long := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for secret, sender := range map[string]bool{
		webhook.NewSecret().Value(): true, private.Value(): true, seed: true, long(24): true, long(64): true,
		public: false, long(23): false, long(65): false, "": false, "hunter2hunter2hunter2": false,
		"whsec_": false, "whsec_hunter2!": false, "whsk_" + mixed: false, "whsk_aGVsbG8=": false,
		"whsk_!": false, "WHSEC_" + mixed: false,
	} {
		_, err := webhook.New("https://ci.example", &webhook.Options{Secrets: []auth.Secret{auth.Secret(secret)}})
		require.Equal(t, sender, err == nil, secret)
		require.Equal(t, sender, webhook.CheckSecret(auth.Secret(secret)) == nil)
		_, verr := webhook.NewVerifier([]auth.Secret{auth.Secret(secret)}, nil)
		require.Equal(t, sender && strings.HasPrefix(secret, "whsec_") || secret == public, verr == nil, secret)
		for _, err := range []error{err, verr} {
			if err != nil {
				_, encoded, _ := strings.Cut(secret, "_")
				require.False(t, len(encoded) > 4 && strings.Contains(err.Error(), encoded), err)
				require.NotContains(t, err.Error(), "hunter2")
			}
		}
	}
	_, err = webhook.NewVerifier(nil, nil)
	require.Error(t, err)
	_, err = webhook.NewVerifier([]auth.Secret{auth.Secret(public)}, &webhook.VerifierOptions{MaxBody: -1})
	require.Error(t, err)
}
