package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	zitadel "github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// provider is an OpenID provider of the zitadel project in this process. Jobs are its clients: a job gets an
// access token by its secret (RFC 6749, section 4.4), or an ID token.
type provider struct {
	URL      string
	audience string // whom tokens are for

	addr    string
	handler http.Handler
	server  *http.Server
	storage *providerStorage
}

// newProvider returns a provider that is down.
func newProvider(t *testing.T) *provider {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	p := &provider{URL: "http://" + l.Addr().String(), addr: l.Addr().String(), audience: "registry.example"}
	p.storage = &providerStorage{provider: p}
	p.rotate(t, jose.RS256)
	config := &op.Config{CryptoKey: [32]byte{1}, AuthMethodPost: true}
	p.handler, err = op.NewProvider(config, p.storage, op.StaticIssuer(p.URL), op.WithAllowInsecure())
	require.NoError(t, err)
	t.Cleanup(p.stop)
	return p
}

// start starts the provider, always at the same address.
func (p *provider) start(t *testing.T) {
	l, err := net.Listen("tcp", p.addr)
	require.NoError(t, err)
	p.server = &http.Server{Handler: p.handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = p.server.Serve(l) }()
}

func (p *provider) stop() {
	if p.server != nil {
		_ = p.server.Close()
	}
}

// rotate makes a new key, which signs from then on. The keys before it are no longer published.
func (p *provider) rotate(t *testing.T, algorithm jose.SignatureAlgorithm) {
	var private crypto.Signer
	var err error
	if algorithm == jose.RS256 {
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	require.NoError(t, err)
	s := p.storage
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	s.key = &providerKey{fmt.Sprint("key ", s.made), algorithm, private}
}

// idToken returns an ID token for a job, which the clock of the provider, ahead by skew, stamps. It needs no
// request, so that it also works while the provider is down.
func (p *provider) idToken(t *testing.T, job string, skew, lifetime time.Duration) string {
	client := &providerClient{id: p.audience, skew: -skew} // the client of an ID token is its audience
	token, err := op.CreateIDToken(op.ContextWithIssuer(t.Context(), p.URL), p.URL, &providerRequest{p, job},
		lifetime+2*skew, "", "", p.storage, client)
	require.NoError(t, err)
	return token
}

// accessToken returns the token that the provider gives to a job for its secret.
func (p *provider) accessToken(t *testing.T, job string) string {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {job}, "client_secret": {"secret of " + job},
		"scope": {"openid"}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+"/oauth/token",
		strings.NewReader(form.Encode()))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	var body struct {
		AccessToken string `json:"access_token"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&body))
	require.NotEmpty(t, body.AccessToken)
	return body.AccessToken
}

// providerKey is a signing key, and the public part of one.
type providerKey struct {
	id        string
	algorithm jose.SignatureAlgorithm
	private   crypto.Signer
}

func (k *providerKey) ID() string                                  { return k.id }
func (k *providerKey) SignatureAlgorithm() jose.SignatureAlgorithm { return k.algorithm }
func (k *providerKey) Key() any                                    { return k.private }

type publishedKey struct{ *providerKey }

func (k publishedKey) Algorithm() jose.SignatureAlgorithm { return k.algorithm }
func (k publishedKey) Use() string                        { return "sig" }
func (k publishedKey) Key() any                           { return k.private.Public() }

// providerStorage is the storage of a provider: its key and its clients. Nobody calls the other methods.
type providerStorage struct {
	op.Storage
	provider *provider

	mu   sync.Mutex
	key  *providerKey
	made int
}

func (s *providerStorage) current() *providerKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key
}

func (s *providerStorage) SigningKey(context.Context) (op.SigningKey, error) { return s.current(), nil }

func (s *providerStorage) KeySet(context.Context) ([]op.Key, error) {
	return []op.Key{publishedKey{s.current()}}, nil
}

func (s *providerStorage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256, jose.ES256}, nil
}

func (s *providerStorage) ClientCredentials(_ context.Context, id, secret string) (op.Client, error) {
	if secret != "secret of "+id {
		return nil, errors.New("wrong secret")
	}
	return &providerClient{id: id}, nil
}

func (s *providerStorage) ClientCredentialsTokenRequest(_ context.Context, id string,
	_ []string) (op.TokenRequest, error) {
	return &providerRequest{s.provider, id}, nil
}

func (s *providerStorage) CreateAccessToken(context.Context, op.TokenRequest) (string, time.Time, error) {
	return "1", time.Now().Add(5 * time.Minute), nil
}

func (s *providerStorage) GetPrivateClaimsFromScopes(_ context.Context, user, _ string,
	_ []string) (map[string]any, error) {
	return map[string]any{"branch": strings.TrimPrefix(user, "job-on-")}, nil
}

func (s *providerStorage) SetUserinfoFromScopes(_ context.Context, info *zitadel.UserInfo, user, _ string,
	_ []string) error {
	info.Subject = user
	info.AppendClaims("branch", strings.TrimPrefix(user, "job-on-"))
	return nil
}

// providerRequest is the request of a job for a token.
type providerRequest struct {
	provider *provider
	job      string
}

func (r *providerRequest) GetSubject() string     { return r.job }
func (r *providerRequest) GetAudience() []string  { return []string{r.provider.audience} }
func (r *providerRequest) GetScopes() []string    { return []string{zitadel.ScopeOpenID} }
func (r *providerRequest) GetClientID() string    { return r.provider.audience }
func (r *providerRequest) GetAMR() []string       { return nil }
func (r *providerRequest) GetAuthTime() time.Time { return time.Now() }

// providerClient is a client of a provider. Nobody calls the other methods.
type providerClient struct {
	op.Client
	id   string
	skew time.Duration
}

func (c *providerClient) GetID() string            { return c.id }
func (c *providerClient) ClockSkew() time.Duration { return c.skew }
func (c *providerClient) GrantTypes() []zitadel.GrantType {
	return []zitadel.GrantType{"client_credentials"}
}
func (c *providerClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

func (c *providerClient) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

func (c *providerClient) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}
