//go:build full

package identity

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/registrykit/registry/auth/bearer"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
)

// dockerAuthConfig is the configuration of docker_auth: admin may do everything, test may pull, and everybody may pull
// from public. The names are those of its own examples, with the space in the name of the service.
const dockerAuthConfig = `
server: {addr: "%s"}
token:
  issuer: "Acme auth server"
  expiration: 900
  certificate: "%s"
  key: "%s"
  disable_legacy_key_id: %t
users:
  "admin": {password: "%s"}
  "test": {password: "%s"}
  "": {}
acl:
  - {match: {account: "admin"}, actions: ["*"]}
  - {match: {account: "test", name: "shared/*"}, actions: ["pull"]}
  - {match: {account: "/.+/", name: "${account}/*"}, actions: ["*"]}
  - {match: {name: "public/*"}, actions: ["pull"]}
`

// TestTokensOfDockerAuth uses docker_auth with each type of key and both kinds of key IDs: the fingerprint of libtrust,
// which is its default, and the thumbprint of RFC 7638.
func TestTokensOfDockerAuth(t *testing.T) {
	const service = "Docker registry"
	hash, err := bcrypt.GenerateFromPassword([]byte("correct-horse"), bcrypt.MinCost)
	require.NoError(t, err)
	keys := tokenKeys(t)
	for alg, key := range keys {
		for kid, thumbprint := range map[string]bool{"Fingerprint": false, "Thumbprint": true} {
			t.Run(alg+kid, func(t *testing.T) {
				issuer := issuerProgram(t, "docker_auth", func(addr string) []string {
					config := filepath.Join(t.TempDir(), "auth.yml")
					require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, dockerAuthConfig, addr, key.certificate, key.private,
						thumbprint, hash, hash), 0o600))
					return []string{"-logtostderr", config}
				})
				opts := bearer.Options{Realm: "http://" + issuer + "/auth", Service: service, Issuer: "Acme auth server",
					KeyFiles: []string{key.bundle}}
				addr := bearerRegistry(t, opts)
				useLogins(t, addr, "test", "correct-horse", "test/app", "shared/app")
				requireDockerAuthTokens(t, addr, opts, thumbprint)
				other := map[string]string{"ES256": "RS256", "RS256": "ES256"}[alg]
				token := fetchToken(t, opts.Realm, service, "admin", "correct-horse", "repository:a:pull")
				requireForeignTokensRefused(t, opts, keys[other], token)
			})
		}
	}
}

// requireDockerAuthTokens looks at single tokens.
func requireDockerAuthTokens(t *testing.T, addr string, opts bearer.Options, thumbprint bool) {
	admin := fetchToken(t, opts.Realm, opts.Service, "admin", "correct-horse", "registry:catalog:*",
		"repository:any/thing:pull,push,delete")
	require.Equal(t, http.StatusOK, statusOf(t, addr, "GET", "/v2/_catalog", admin))
	require.Equal(t, http.StatusNotFound, statusOf(t, addr, "DELETE", "/v2/any/thing/manifests/latest", admin))
	require.Equal(t, http.StatusUnauthorized, statusOf(t, addr, "GET", "/v2/other/thing/tags/list", admin))

	// docker_auth gives a token with an empty list of actions for what it denies.
	reader := fetchToken(t, opts.Realm, opts.Service, "test", "correct-horse", "repository:shared/x:pull,push",
		"repository:private/x:pull")
	require.Equal(t, http.StatusNotFound, statusOf(t, addr, "GET", "/v2/shared/x/manifests/latest", reader))
	require.Equal(t, http.StatusUnauthorized, statusOf(t, addr, "POST", "/v2/shared/x/blobs/uploads/", reader))
	require.Equal(t, http.StatusUnauthorized, statusOf(t, addr, "GET", "/v2/private/x/manifests/latest", reader))

	anonymous := fetchToken(t, opts.Realm, opts.Service, "", "", "repository:public/x:pull,push")
	require.Equal(t, http.StatusNotFound, statusOf(t, addr, "GET", "/v2/public/x/manifests/latest", anonymous))
	require.Equal(t, http.StatusUnauthorized, statusOf(t, addr, "POST", "/v2/public/x/blobs/uploads/", anonymous))

	var header struct{ Kid, Alg string }
	head, _, _ := strings.Cut(admin, ".")
	content, err := base64.RawURLEncoding.DecodeString(head)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &header))
	if thumbprint {
		require.Len(t, header.Kid, 43)
	} else {
		require.Regexp(t, `^([A-Z2-7]{4}:){11}[A-Z2-7]{4}$`, header.Kid, "the fingerprint of libtrust")
	}
}
