package signin

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/example/server/storage"
	zitadel "github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	clientID     = "registry"
	clientSecret = "the secret of the client"
)

// provider is an OpenID provider of the zitadel project, with its example of a storage. Its login
// page signs the current user in without a question.
type provider struct {
	URL string

	addr    string
	handler http.Handler
	server  *http.Server
	storage *providerStorage
}

// providerStorage is the storage of the example, with keys that rotate, groups, and settings of
// tests.
type providerStorage struct {
	*storage.Storage

	mu        sync.Mutex
	user      string                    // who signs in
	claims    map[string]map[string]any // further claims, by user
	skew      time.Duration             // how far the clock is ahead
	redirects []string
	key       *signingKey
	keys      int
}

// people are the users of the provider.
type people struct{ storage.UserStore }

func (people) GetUserByID(id string) *storage.User {
	return &storage.User{ID: id, Username: id[:len(id)-2], Password: "secret", FirstName: "The", LastName: id,
		Email: id + "@example.com", EmailVerified: true}
}

func (p people) GetUserByUsername(name string) *storage.User { return p.GetUserByID(name + "-1") }
func (people) ExampleClientID() string                       { return "service" }

// newProvider returns a provider that is up, for the redirect URI of a registry.
func newProvider(t *testing.T) *provider {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	p := &provider{URL: "http://" + l.Addr().String(), addr: l.Addr().String()}
	clients := map[string]*storage.Client{clientID: storage.WebClient(clientID, clientSecret)}
	p.storage = &providerStorage{Storage: storage.NewStorageWithClients(people{}, clients), user: "ann",
		claims: map[string]map[string]any{"ann-1": {"sid": "browser-1"}}}
	p.storage.rotate(t)
	config := &op.Config{CryptoKey: [32]byte{1}, CodeMethodS256: true, GrantTypeRefreshToken: true,
		SupportedScopes: []string{"openid", "profile", "email"},
		DeviceAuthorization: op.DeviceAuthorizationConfig{Lifetime: time.Minute, PollInterval: time.Second,
			UserFormPath: "/device-page", UserCode: op.UserCodeBase20}}
	serve, err := op.NewProvider(config, p.storage, op.StaticIssuer(p.URL), op.WithAllowInsecure())
	require.NoError(t, err)
	callback := op.AuthCallbackURL(serve)
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Query().Get("id")
		p.storage.mu.Lock()
		user := p.storage.user
		p.storage.mu.Unlock()
		if err := p.storage.CheckUsernamePassword(user, "secret", id); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		http.Redirect(w, r, callback(op.ContextWithIssuer(r.Context(), p.URL), id), http.StatusFound)
	})
	mux.Handle("/", serve)
	p.handler = mux
	p.start(t)
	t.Cleanup(p.stop)
	return p
}

// start starts the provider, always at the same address.
func (p *provider) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", p.addr)
	require.NoError(t, err)
	p.server = &http.Server{Handler: p.handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = p.server.Serve(l) }()
}

func (p *provider) stop() { _ = p.server.Close() }

// set changes the settings.
func (p *provider) set(change func(s *providerStorage)) {
	p.storage.mu.Lock()
	defer p.storage.mu.Unlock()
	change(p.storage)
}

// confirm confirms a device as a user, as the page of the provider does.
func (p *provider) confirm(t *testing.T, code, user string) {
	t.Helper()
	require.NoError(t, p.storage.CompleteDeviceAuthorization(t.Context(), code, user+"-1"))
}

// logoutToken returns a logout token that the key of the provider has signed.
func (p *provider) logoutToken(t *testing.T, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iss": p.URL, "aud": clientID, "iat": time.Now().Unix(), "exp": time.Now().Unix() + 120,
		"jti":    rand.Text(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
	maps.Copy(all, claims)
	return p.sign(t, all)
}

// sign signs claims with the current key.
func (p *provider) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	key := p.storage.current()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256,
		Key: jose.JSONWebKey{Key: key.private, KeyID: key.id}}, nil)
	require.NoError(t, err)
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	signed, err := signer.Sign(payload)
	require.NoError(t, err)
	text, err := signed.CompactSerialize()
	require.NoError(t, err)
	return text
}

// signingKey is a key of the provider.
type signingKey struct {
	id      string
	private *rsa.PrivateKey
}

func (k *signingKey) ID() string                                  { return k.id }
func (k *signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k *signingKey) Key() any                                    { return k.private }

type publishedKey struct{ *signingKey }

func (k publishedKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k publishedKey) Use() string                        { return "sig" }
func (k publishedKey) Key() any                           { return k.private.Public() }

// rotate makes a new key. The one before it is no longer published.
func (s *providerStorage) rotate(t *testing.T) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys++
	s.key = &signingKey{fmt.Sprint("key ", s.keys), private}
}

func (s *providerStorage) current() *signingKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key
}

func (s *providerStorage) SigningKey(context.Context) (op.SigningKey, error) { return s.current(), nil }

func (s *providerStorage) KeySet(context.Context) ([]op.Key, error) {
	return []op.Key{publishedKey{s.current()}}, nil
}

func (s *providerStorage) SetUserinfoFromRequest(ctx context.Context, info *zitadel.UserInfo, r op.IDTokenRequest,
	scopes []string) error {
	err := s.Storage.SetUserinfoFromRequest(ctx, info, r, scopes)
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, v := range s.claims[r.GetSubject()] {
		info.AppendClaims(name, v)
	}
	return err
}

func (s *providerStorage) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &client{c, s.redirects, s.skew}, nil
}

// client is the registry as the provider knows it.
type client struct {
	op.Client
	redirects []string
	skew      time.Duration
}

func (c *client) RedirectURIs() []string           { return c.redirects[:1] }
func (c *client) PostLogoutRedirectURIs() []string { return c.redirects[1:] }
func (c *client) LoginURL(id string) string        { return "/login?id=" + url.QueryEscape(id) }
func (c *client) ClockSkew() time.Duration         { return -c.skew }
func (c *client) DevMode() bool                    { return false }
func (c *client) IDTokenLifetime() time.Duration   { return time.Minute }
func (c *client) GrantTypes() []zitadel.GrantType {
	return []zitadel.GrantType{zitadel.GrantTypeCode, zitadel.GrantTypeDeviceCode}
}
