package bearer_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/bearer"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// A registry that accepts the tokens of docker_auth. The certificate is the one in its section token.
func ExampleNew() {
	verifier, err := bearer.New(bearer.Options{
		Realm:    "https://auth.example/auth",
		Service:  "registry.example",
		Issuer:   "Acme auth server",
		KeyFiles: []string{"testdata/issuer.crt"},
	})
	if err != nil {
		log.Fatal(err)
	}
	store, err := storage.New(context.Background(), memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	reg, err := registry.New(store, &registry.Options{Authenticator: verifier, Authorizer: verifier})
	if err != nil {
		log.Fatal(err)
	}
	w := httptest.NewRecorder()
	reg.ServeHTTP(w, httptest.NewRequest("GET", "https://registry.example/v2/app/manifests/latest", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output:
	// 401 Bearer realm="https://auth.example/auth",service="registry.example",scope="repository:app:pull"
}

// An issuer with the claim scope of OAuth, such as "registry.read", instead of Docker's claim.
func ExampleOptions_map() {
	opts := bearer.Options{
		Realm:   "https://login.example/token",
		Service: "registry.example",
		Issuer:  "https://login.example",
		JWKS:    "https://login.example/keys",
		Map: func(claims map[string]any) (auth.Identity, []auth.Access, error) {
			name, _ := claims["sub"].(string)
			scopes, _ := claims["scope"].(string)
			var permits []auth.Access
			for scope := range strings.FieldsSeq(scopes) {
				switch scope {
				case "registry.read":
					permits = append(permits, auth.Access{Type: auth.TypeRepository, Name: "*", Action: auth.Pull})
				case "registry.write":
					permits = append(permits, auth.Access{Type: auth.TypeRepository, Name: "*", Action: auth.Push})
				}
			}
			return auth.Identity{Name: name}, permits, nil
		},
	}
	_, err := bearer.New(opts)
	fmt.Println(err)
	// Output: <nil>
}

// TestExampleCertificate keeps the file of the example readable.
func TestExampleCertificate(t *testing.T) {
	newVerifier(t, bearer.Options{Realm: realm, Service: service, Issuer: name, KeyFiles: []string{"testdata/issuer.crt"}})
}
