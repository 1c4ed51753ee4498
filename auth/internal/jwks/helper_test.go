package jwks_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/internal/jwks"
)

const keysURL = "https://issuer.example/keys"

// signer is a private key with a kid.
type signer struct {
	kid     string
	method  jwt.SigningMethod
	private crypto.Signer
}

var rsaKeys = sync.OnceValue(func() []*rsa.PrivateKey { // they are slow to make
	list := make([]*rsa.PrivateKey, 2)
	for i := range list {
		list[i], _ = rsa.GenerateKey(rand.Reader, 2048)
	}
	return list
})

func newRSA(kid string) signer { return signer{kid, jwt.SigningMethodRS256, rsaKeys()[0]} }

func newECDSA(t testing.TB, kid string) signer {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return signer{kid, jwt.SigningMethodES256, private}
}

func newEd25519(t testing.TB, kid string) signer {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return signer{kid, jwt.SigningMethodEdDSA, private}
}

// token returns a token with the claim sub, and header fields besides alg and kid.
func (s signer) token(t testing.TB, sub string, header map[string]any) string {
	token := jwt.NewWithClaims(s.method, jwt.MapClaims{"sub": sub})
	delete(token.Header, "typ")
	if s.kid != "" {
		token.Header["kid"] = s.kid
	}
	for name, value := range header {
		token.Header[name] = value
	}
	signed, err := token.SignedString(s.private)
	require.NoError(t, err)
	return signed
}

func (s signer) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.private.Public(), KeyID: s.kid, Use: "sig"}
}

// document returns the JWKS of signers.
func document(t testing.TB, signers ...signer) []byte {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, s := range signers {
		set.Keys = append(set.Keys, s.jwk())
	}
	content, err := json.Marshal(set)
	require.NoError(t, err)
	return content
}

// source is an issuer that serves keys. Its requests do not use the network, so that synctest can move the clock.
type source struct {
	requests atomic.Int64
	mu       sync.Mutex
	content  []byte
	header   http.Header
	err      error
	delay    time.Duration
}

func (s *source) set(content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.content, s.err = content, nil
}

// RoundTrip implements http.RoundTripper.
func (s *source) RoundTrip(r *http.Request) (*http.Response, error) {
	s.requests.Add(1)
	s.mu.Lock()
	content, header, err, delay := s.content, s.header.Clone(), s.err, s.delay
	s.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(bytes.NewReader(content)),
		Request: r}, nil
}

func (s *source) keys(t testing.TB, opts jwks.Options) *jwks.Set {
	opts.Client = &http.Client{Transport: s}
	set, err := jwks.New(keysURL, &opts)
	require.NoError(t, err)
	return set
}

// accepts fails the test unless the token is accepted.
func accepts(t testing.TB, set *jwks.Set, token string) {
	t.Helper()
	payload, err := set.VerifySignature(context.Background(), token)
	require.NoError(t, err)
	require.Contains(t, string(payload), `"sub"`)
}

// refuses fails the test unless the signature is refused.
func refuses(t testing.TB, set *jwks.Set, token string) {
	t.Helper()
	payload, err := set.VerifySignature(context.Background(), token)
	require.ErrorIs(t, err, jwks.ErrSignature)
	require.Nil(t, payload)
}
