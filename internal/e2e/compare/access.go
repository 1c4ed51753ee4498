package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// The account of the client with -access.
const (
	userName = "ann"
	password = "secret"
)

// access adds the tokens to requests that a registry with access control requires. It keeps each
// token, like a client, for the repositories for which it is.
type access struct {
	registry *side // that has the accounts

	mu     sync.Mutex
	tokens map[string]heldToken // by server and scopes
}

type heldToken struct {
	value string
	since time.Time
}

// tokenLife is the time for which the client uses a token. A registry accepts it for longer.
const tokenLife = time.Minute

// restrict makes the sides check passwords, rules and tokens.
func restrict(all []*side, dir string) error {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return err
	}
	users, rules := filepath.Join(dir, "users"), filepath.Join(dir, "rules.yaml")
	const policy = `
rules:
- {who: everyone, repositories: "public/**", actions: pull}
- {who: {user: ann}, repositories: "**", actions: "*"}
`
	for path, content := range map[string]string{users: userName + ":" + string(hash) + "\n", rules: policy} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	for _, s := range all {
		s.access = newAccess(s)
		s.options.Args = append(s.options.Args, "-htpasswd", users, "-rules", rules)
	}
	return nil
}

func newAccess(registry *side) *access {
	return &access{registry: registry, tokens: map[string]heldToken{}}
}

// transport returns a transport that adds tokens. A nil access returns next.
func (a *access) transport(next http.RoundTripper) http.RoundTripper {
	if a == nil {
		return next
	}
	return transport(func(r *http.Request) (*http.Response, error) {
		if a.registry.server == nil || !strings.HasPrefix(r.URL.Path, "/v2/") {
			return next.RoundTrip(r) // no registry has begun: bestBuffer
		}
		token, err := a.token(next, scopesOf(r.URL))
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+token)
		return next.RoundTrip(r)
	})
}

// token returns a token for scopes.
func (a *access) token(next http.RoundTripper, scopes []string) (string, error) {
	base := a.registry.server.URL()
	key := base + strings.Join(scopes, " ")
	a.mu.Lock()
	held := a.tokens[key]
	a.mu.Unlock()
	if held.value != "" && time.Since(held.since) < tokenLife {
		return held.value, nil
	}
	value, err := fetchToken(next, base, scopes)
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokens[key] = heldToken{value, time.Now()}
	return value, nil
}

// scopesOf returns the scopes that a request needs.
func scopesOf(u *url.URL) []string {
	path := strings.TrimPrefix(u.Path, "/v2/")
	if path == "_catalog" {
		return []string{"registry:catalog:*"}
	}
	for _, part := range []string{"/blobs/", "/manifests/", "/tags/", "/referrers/"} {
		if i := strings.LastIndex(path, part); i >= 0 {
			path = path[:i]
		}
	}
	scopes := []string{"repository:" + path + ":pull,push,delete"}
	if from := u.Query().Get("from"); from != "" {
		scopes = append(scopes, "repository:"+from+":pull")
	}
	return scopes
}

// fetchToken logs in at the token endpoint that the registry at base names.
func fetchToken(next http.RoundTripper, base string, scopes []string) (string, error) {
	get := func(target string, login bool) (*http.Response, error) {
		req, err := http.NewRequest(http.MethodGet, target, nil)
		if err != nil {
			return nil, err
		}
		if login {
			req.SetBasicAuth(userName, password)
		}
		return next.RoundTrip(req)
	}
	resp, err := get(base+"/v2/", false)
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	challenge := resp.Header.Get("WWW-Authenticate")
	query := url.Values{"service": {parameter(challenge, "service")}, "scope": scopes}
	resp, err = get(parameter(challenge, "realm")+"?"+query.Encode(), true)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var got struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || got.Token == "" {
		return "", fmt.Errorf("no token for %v: status %d, %w", scopes, resp.StatusCode, err)
	}
	return got.Token, nil
}

// parameter returns a quoted parameter of a challenge.
func parameter(challenge, name string) string {
	_, rest, _ := strings.Cut(challenge, name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
