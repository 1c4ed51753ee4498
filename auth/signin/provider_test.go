package signin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

const (
	clientID     = "registry"
	clientSecret = "the secret of the client"
)

// idp is an OpenID provider that does what a test tells it, also what no provider may do. Package
// internal/e2e/signin has the tests with a real one.
type idp struct {
	*httptest.Server
	t   *testing.T
	key *ecdsa.PrivateKey

	mu       sync.Mutex
	person   map[string]any                             // the claims of the person who signs in
	change   func(claims map[string]any)                // changes an ID token before it is signed, or nil
	sign     func(claims jwt.MapClaims) string          // signs it, or nil
	document func(d map[string]any)                     // changes the discovery document, or nil
	answer   func(q url.Values, redirect url.Values)    // changes the parameters of the callback, or nil
	token    func(w http.ResponseWriter) (handled bool) // answers at the token endpoint, or nil
	userInfo map[string]any
	codes    map[string]url.Values // by code, the authorization request
	pending  int                   // polls until the device is confirmed
	requests []string              // the paths of all requests
	form     url.Values            // of the last token request
}

// newIDP starts a provider whose person is ann.
func newIDP(t *testing.T) *idp {
	t.Helper()
	p := &idp{t: t, codes: map[string]url.Values{}, person: map[string]any{"sub": "ann-1", "preferred_username": "ann",
		"name": "Ann", "email": "ann@example.com", "sid": "session-1"}}
	var err error
	p.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.serveDocument)
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		send(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "1", Algorithm: "ES256"}}})
	})
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.serveToken)
	mux.HandleFunc("POST /device", func(w http.ResponseWriter, _ *http.Request) {
		send(w, 200, map[string]any{"device_code": "the device", "user_code": "ABCD-EFGH", "verification_uri": p.URL + "/go",
			"verification_uri_complete": p.URL + "/go?c=ABCD-EFGH", "expires_in": 300, "interval": 1})
	})
	mux.HandleFunc("GET /userinfo", func(w http.ResponseWriter, _ *http.Request) { send(w, 200, p.userInfo) })
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.requests = append(p.requests, r.URL.Path)
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// set changes the provider.
func (p *idp) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// count returns the number of requests to a path.
func (p *idp) count(path string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.requests {
		if one == path {
			n++
		}
	}
	return n
}

func send(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (p *idp) serveDocument(w http.ResponseWriter, _ *http.Request) {
	d := map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize",
		"token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys", "device_authorization_endpoint": p.URL + "/device",
		"userinfo_endpoint": p.URL + "/userinfo", "end_session_endpoint": p.URL + "/logout",
		"id_token_signing_alg_values_supported": []string{"none", "HS256", "ES256"}}
	if p.document != nil {
		p.document(d)
	}
	send(w, 200, d)
}

// authorize sends the browser back at once.
func (p *idp) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	code := rand.Text()
	p.codes[code] = q
	back := url.Values{"code": {code}, "state": {q.Get("state")}}
	if p.answer != nil {
		p.answer(q, back)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

// serveToken exchanges a code once, for the client that has asked for it, with its PKCE verifier.
func (p *idp) serveToken(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.form = r.PostForm
	if p.token != nil && p.token(w) {
		return
	}
	id, secret, basic := r.BasicAuth()
	if basic {
		secret, _ = url.QueryUnescape(secret)
	}
	if !basic || id != clientID || secret != clientSecret {
		send(w, 401, map[string]string{"error": "invalid_client"})
		return
	}
	nonce := ""
	if r.PostForm.Get("device_code") != "" {
		if p.pending--; p.pending >= 0 {
			send(w, 400, map[string]string{"error": "authorization_pending"})
			return
		}
	} else {
		asked, ok := p.codes[r.PostForm.Get("code")]
		delete(p.codes, r.PostForm.Get("code"))
		sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		if !ok || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) ||
			asked.Get("code_challenge_method") != "S256" || asked.Get("redirect_uri") != r.PostForm.Get("redirect_uri") {
			send(w, 400, map[string]string{"error": "invalid_grant"})
			return
		}
		nonce = asked.Get("nonce")
	}
	send(w, 200, map[string]any{"access_token": "an access token", "token_type": "Bearer", "expires_in": 60,
		"id_token": p.idToken(nonce)})
}

// idToken returns an ID token of the person.
func (p *idp) idToken(nonce string) string {
	now := time.Now()
	claims := jwt.MapClaims{"iss": p.URL, "aud": clientID, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	maps.Copy(claims, p.person)
	if nonce != "" {
		claims["nonce"] = nonce
	}
	if p.change != nil {
		p.change(claims)
	}
	if p.sign != nil {
		return p.sign(claims)
	}
	return p.signed(claims)
}

// signed returns a token that the key of the provider has signed.
func (p *idp) signed(claims jwt.MapClaims) string {
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = "1"
	text, err := token.SignedString(p.key)
	require.NoError(p.t, err)
	return text
}

// logoutToken returns a logout token after a change of its claims, which may be nil.
func (p *idp) logoutToken(change func(claims map[string]any)) string {
	claims := jwt.MapClaims{"iss": p.URL, "aud": clientID, "iat": time.Now().Unix(), "jti": rand.Text(),
		"sub": "ann-1", "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
	if change != nil {
		change(claims)
	}
	return p.signed(claims)
}
