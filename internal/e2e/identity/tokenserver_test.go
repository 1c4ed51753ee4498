package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth/bearer"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
)

// tokenKey is the key of an issuer that was written for the CNCF registry.
type tokenKey struct {
	// private is the private key, and bundle the certificate behind one of another key: what the CNCF registry calls
	// rootcertbundle.
	private, certificate, bundle string
}

// tokenKeys are keys of the types that these issuers have.
func tokenKeys(t *testing.T) map[string]*tokenKey {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecDER, err := x509.MarshalECPrivateKey(ec)
	require.NoError(t, err)
	return map[string]*tokenKey{
		"ES256": newTokenKey(t, ec, "EC PRIVATE KEY", ecDER),
		"RS256": newTokenKey(t, rsaKey, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)),
	}
}

func newTokenKey(t *testing.T, private crypto.Signer, kind string, der []byte) *tokenKey {
	certificate := func(key crypto.Signer) []byte {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
			NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		require.NoError(t, err)
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	own := certificate(private)
	return &tokenKey{
		private:     write("key.pem", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})),
		certificate: write("cert.pem", own),
		bundle:      write("bundle.pem", append(certificate(other), own...)),
	}
}

// bearerRegistry starts a registry that accepts the tokens of another issuer, and returns its address.
func bearerRegistry(t *testing.T, opts bearer.Options) string {
	store, err := storage.New(t.Context(), memory.New(nil), nil)
	require.NoError(t, err)
	v, err := bearer.New(opts)
	require.NoError(t, err)
	reg, err := registry.New(store, &registry.Options{Authenticator: v, Authorizer: v})
	require.NoError(t, err)
	s := httptest.NewServer(reg)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// issuerProgram starts an issuer at a free address, which it returns. args returns its arguments for that address.
func issuerProgram(t *testing.T, name string, args func(addr string) []string) (addr string) {
	addr, err := harness.FreeAddr()
	require.NoError(t, err)
	harness.Daemon(t, func() error {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		return err
	}, name, args(addr)...)
	return addr
}

// loginAndOut is how a client logs in, pushes to a repository, pulls from it and logs out.
type loginAndOut struct {
	login           func(user, password string) error
	push, pull      func(repo string) error
	logout          func() error
	checksPasswords bool // when it logs in
}

// bearerClients returns clients for the registry at an address. crane is not among them: it refuses an issuer with a
// loopback address that is not that of the registry.
func bearerClients(t *testing.T, addr string) map[string]*loginAndOut {
	layout := harness.Layout(t, harness.Image(t, "amd64", t.Name()))
	regctl, skopeo, oras := harness.NewProgram(t, "regctl"), harness.NewProgram(t, "skopeo"), harness.NewProgram(t, "oras")
	regctl.Run(t, "registry", "set", "--skip-check", "--tls", "disabled", addr)
	docker := harness.Docker(t)
	docker.Run(t, "build", "-q", "-t", "local", harness.BuildContext(t, t.Name(), ""))
	run := func(p *harness.Program, args ...string) error {
		stdout, stderr, err := p.Try(t, args...)
		if err != nil {
			return fmt.Errorf("%w\n%s%s", err, stdout, stderr)
		}
		return nil
	}
	image := func(repo string) string { return addr + "/" + repo + ":latest" }
	return map[string]*loginAndOut{
		"regctl": {
			login: func(u, p string) error { return run(regctl, "registry", "login", addr, "-u", u, "-p", p) },
			push: func(repo string) error {
				return run(regctl, "image", "copy", "ocidir://"+layout+":latest", image(repo))
			},
			pull: func(repo string) error {
				return run(regctl, "image", "copy", image(repo), "ocidir://"+t.TempDir()+":back")
			},
			logout: func() error { return run(regctl, "registry", "logout", addr) },
		},
		"skopeo": {
			login: func(u, p string) error { return run(skopeo, "login", "--tls-verify=false", "-u", u, "-p", p, addr) },
			push: func(repo string) error {
				return run(skopeo, "copy", "--dest-tls-verify=false", "oci:"+layout, "docker://"+image(repo))
			},
			pull: func(repo string) error {
				return run(skopeo, "copy", "--src-tls-verify=false", "docker://"+image(repo), "dir:"+t.TempDir())
			},
			logout:          func() error { return run(skopeo, "logout", addr) },
			checksPasswords: true,
		},
		"oras": {
			login: func(u, p string) error { return run(oras, "login", "--plain-http", "-u", u, "-p", p, addr) },
			push: func(repo string) error {
				return run(oras, "push", "--plain-http", image(repo), "--artifact-type", "x/y")
			},
			pull:            func(repo string) error { return run(oras, "manifest", "fetch", "--plain-http", image(repo)) },
			logout:          func() error { return run(oras, "logout", addr) },
			checksPasswords: true,
		},
		"docker": {
			login: func(u, p string) error { return run(docker, "login", "-u", u, "-p", p, addr) },
			push: func(repo string) error {
				docker.Run(t, "tag", "local", image(repo))
				return run(docker, "push", image(repo))
			},
			pull:            func(repo string) error { return run(docker, "pull", image(repo)) },
			logout:          func() error { return run(docker, "logout", addr) },
			checksPasswords: true,
		},
	}
}

// requireRefused requires that a client was refused for its rights.
func requireRefused(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.Regexp(t, `(?i)unauthorized|denied|authentication required|not authorized|401|403|invalid username/password`,
		err.Error())
}

// useLogins takes each client through logins: user may push own and may not push foreign.
func useLogins(t *testing.T, addr, user, password, own, foreign string) {
	for name, c := range bearerClients(t, addr) {
		t.Run(name, func(t *testing.T) {
			own, foreign := own+"-"+name, foreign+"-"+name
			requireRefused(t, c.push(own))
			if err := c.login(user, "wrong"); c.checksPasswords {
				requireRefused(t, err)
			}
			require.NoError(t, c.login(user, password))
			require.NoError(t, c.push(own))
			require.NoError(t, c.pull(own))
			requireRefused(t, c.push(foreign))
			require.NoError(t, c.logout())
			requireRefused(t, c.pull(own))
		})
	}
}

// fetchToken returns a token of an issuer for scopes.
func fetchToken(t *testing.T, endpoint, service, user, password string, scopes ...string) string {
	r, err := http.NewRequest(http.MethodGet, endpoint+"?"+url.Values{"service": {service}, "scope": scopes}.Encode(), nil)
	require.NoError(t, err)
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	var body struct {
		Token       string
		AccessToken string `json:"access_token"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&body))
	if body.Token == "" {
		return body.AccessToken
	}
	return body.Token
}

// statusOf returns the status of a request with a token.
func statusOf(t *testing.T, addr, method, path, token string) int {
	r, err := http.NewRequest(method, "http://"+addr+path, nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	return resp.StatusCode
}

// requireForeignTokensRefused requires that tokens of another key, for another service and of another
// issuer are refused, although the same program has issued them.
func requireForeignTokensRefused(t *testing.T, opts bearer.Options, other *tokenKey, token string) {
	for name, change := range map[string]func(*bearer.Options){
		"another key":     func(o *bearer.Options) { o.KeyFiles = []string{other.bundle} },
		"another service": func(o *bearer.Options) { o.Service = "another" },
		"another issuer":  func(o *bearer.Options) { o.Issuer = "another" },
	} {
		o := opts
		change(&o)
		require.Equal(t, http.StatusUnauthorized, statusOf(t, bearerRegistry(t, o), "GET", "/v2/", token), name)
	}
}

// TestTokensOfDistributionsTokenServer uses the example of a token server in the repository of the
// CNCF registry. Its tokens have their key in the header, which is ignored, and no kid.
func TestTokensOfDistributionsTokenServer(t *testing.T) {
	const service = "registry.example"
	hash, err := bcrypt.GenerateFromPassword([]byte("correct-horse"), bcrypt.MinCost)
	require.NoError(t, err)
	passwords := filepath.Join(t.TempDir(), "htpasswd")
	require.NoError(t, os.WriteFile(passwords, fmt.Appendf(nil, "ann:%s\n", hash), 0o600))
	keys := tokenKeys(t)
	for alg, key := range keys {
		t.Run(alg, func(t *testing.T) {
			issuer := issuerProgram(t, "token-server", func(addr string) []string {
				return []string{"-addr", addr, "-issuer", "test issuer", "-key", key.private, "-passwd", passwords,
					"-realm", "test"}
			})
			opts := bearer.Options{Realm: "http://" + issuer + "/token/", Service: service, Issuer: "test issuer",
				KeyFiles: []string{key.bundle}}
			addr := bearerRegistry(t, opts)
			useLogins(t, addr, "ann", "correct-horse", "ann/app", "bob/app")
			token := fetchToken(t, opts.Realm, service, "ann", "correct-horse", "registry:catalog:*", "repository:ann/x:*")
			require.Equal(t, http.StatusOK, statusOf(t, addr, "GET", "/v2/_catalog", token))
			require.Equal(t, http.StatusNotFound, statusOf(t, addr, "DELETE", "/v2/ann/x/manifests/latest", token))
			require.Equal(t, http.StatusUnauthorized, statusOf(t, addr, "GET", "/v2/bob/x/tags/list", token))
			other := map[string]string{"ES256": "RS256", "RS256": "ES256"}[alg]
			requireForeignTokensRefused(t, opts, keys[other], token)
		})
	}
}
