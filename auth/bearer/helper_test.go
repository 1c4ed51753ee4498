package bearer_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/bearer"
	"github.com/registrykit/registry/registrytest"
)

const (
	realm   = "https://auth.example/token"
	service = "Docker registry"
	name    = "auth.example" // of the issuer
)

// issuer signs tokens.
type issuer struct {
	kid     string
	method  jwt.SigningMethod
	private crypto.Signer
}

func newIssuer(t testing.TB) *issuer {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return &issuer{kid: "PYYO:TEWU:V7JH:26JV:AQTZ:LJC3:SXVJ:XGHA:34F2:2LAQ:ZRMK:Z7Q6", method: jwt.SigningMethodES256,
		private: private}
}

// file returns the path of a file with the public key.
func (i *issuer) file(t testing.TB) string {
	der, err := x509.MarshalPKIXPublicKey(i.private.Public())
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600))
	return path
}

// options are those of a registry that accepts the tokens.
func (i *issuer) options(t testing.TB) bearer.Options {
	return bearer.Options{Realm: realm, Service: service, Issuer: name, KeyFiles: []string{i.file(t)}}
}

// claims are changes of the claims of a token. A nil value removes a claim.
type claims map[string]any

// token returns a token of ann with accesses such as "repository:a:pull,push", and changed claims.
func (i *issuer) token(t testing.TB, change claims, accesses ...string) string {
	list := []map[string]any{}
	for _, a := range accesses {
		p := strings.Split(a, ":")
		list = append(list, map[string]any{"type": p[0], "name": p[1], "actions": strings.Split(p[2], ",")})
	}
	now := time.Now()
	c := jwt.MapClaims{
		"iss": name, "aud": service, "sub": "ann", "jti": rand.Text(), "iat": now.Unix(), "nbf": now.Unix(),
		"exp": now.Add(5 * time.Minute).Unix(), "access": list,
	}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, value any) bool { return value == nil })
	return i.sign(t, c)
}

// sign returns a token with any claims.
func (i *issuer) sign(t testing.TB, c jwt.Claims) string {
	token := jwt.NewWithClaims(i.method, c)
	token.Header["kid"] = i.kid
	signed, err := token.SignedString(i.private)
	require.NoError(t, err)
	return signed
}

// document returns the keys of issuers as a JWKS.
func document(t testing.TB, issuers ...*issuer) []byte {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, i := range issuers {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: i.private.Public(), KeyID: i.kid})
	}
	content, err := json.Marshal(set)
	require.NoError(t, err)
	return content
}

// keys is a source of a JWKS that does not use the network. It fails while it has no content.
type keys struct {
	content  atomic.Pointer[[]byte]
	requests atomic.Int64
}

func (k *keys) set(content []byte) { k.content.Store(&content) }

// RoundTrip implements http.RoundTripper.
func (k *keys) RoundTrip(*http.Request) (*http.Response, error) {
	k.requests.Add(1)
	content := k.content.Load()
	if content == nil || *content == nil {
		return nil, io.ErrUnexpectedEOF
	}
	body := io.NopCloser(strings.NewReader(string(*content)))
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: body}, nil
}

// options are those of a registry that reads the keys.
func (k *keys) options() bearer.Options {
	return bearer.Options{Realm: realm, Service: service, Issuer: name, JWKS: "https://auth.example/keys",
		Client: &http.Client{Transport: k}}
}

func newVerifier(t testing.TB, opts bearer.Options) *bearer.Verifier {
	v, err := bearer.New(opts)
	require.NoError(t, err)
	return v
}

// request returns a request with an Authorization header.
func request(authorization string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return r
}

// login returns the identity of the bearer of a token.
func login(t testing.TB, v *bearer.Verifier, token string) (auth.Identity, error) {
	return v.Authenticate(request("Bearer " + token).WithContext(t.Context()))
}

// may reports whether the bearer of a token may do an access.
func may(t testing.TB, v *bearer.Verifier, token string, accesses ...auth.Access) error {
	identity, err := login(t, v, token)
	require.NoError(t, err)
	return v.Authorize(t.Context(), identity, accesses)
}

func repository(name string, action auth.Action) auth.Access {
	return auth.Access{Type: auth.TypeRepository, Name: name, Action: action}
}

var catalog = auth.Access{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All}

// site is a registry that accepts tokens of an issuer.
type site struct {
	t   testing.TB
	url string
}

func newSite(t testing.TB, v *bearer.Verifier) *site {
	return &site{t, registrytest.NewServer(t, &registry.Options{Authenticator: v, Authorizer: v}).URL}
}

// do sends a request and returns the status and the challenge.
func (s *site) do(method, path, token, body string) (int, string) {
	r, err := http.NewRequestWithContext(context.Background(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if method == http.MethodPut {
		r.Header.Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(s.t, err)
	return resp.StatusCode, resp.Header.Get("WWW-Authenticate")
}
