package identity

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// issuer is a small issuer of ID tokens, like that of a CI system, in this process. Like these, it publishes a key
// before it uses it, and for some time after.
type issuer struct {
	URL string

	mu   sync.Mutex
	keys []signingKey // the newest last
	made int
}

type signingKey struct {
	*rsa.PrivateKey
	id   string
	from time.Time // when it is used
}

// ahead is how long a key is published before it is used. The registry asks for keys again at most every 10
// seconds.
const ahead = 11 * time.Second

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	i.rotate(t, 0)
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i.URL = server.URL
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": i.published()})
	})
	return i
}

// rotate makes a new key, which signs after some time.
func (i *issuer) rotate(t *testing.T, after time.Duration) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.made++
	i.keys = append(i.keys, signingKey{key, fmt.Sprint(i.made), time.Now().Add(after)})
	i.keys = i.keys[max(0, len(i.keys)-3):]
}

// newest returns the newest key that is in use.
func (i *issuer) newest() signingKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	newest := i.keys[0]
	for _, key := range i.keys {
		if time.Now().After(key.from) {
			newest = key
		}
	}
	return newest
}

// published returns the public keys as a JWK set has them.
func (i *issuer) published() []map[string]string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var all []map[string]string
	for _, key := range i.keys {
		all = append(all, map[string]string{"kty": "RSA", "use": "sig", "alg": "RS256",
			"kid": key.id, "n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())})
	}
	return all
}

// token returns an ID token with claims.
func (i *issuer) token(t *testing.T, claims map[string]any) string {
	t.Helper()
	key, now := i.newest(), time.Now()
	all := map[string]any{"iss": i.URL, "aud": "registry.example", "sub": "repo:acme/app:ref:refs/heads/main",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	maps.Copy(all, claims)
	part := func(v any) string {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(map[string]string{"alg": "RS256", "typ": "JWT", "kid": key.id}) + "." + part(all)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key.PrivateKey, crypto.SHA256, sum[:])
	require.NoError(t, err)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}
