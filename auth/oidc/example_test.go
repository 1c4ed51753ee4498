package oidc_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth/oidc"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// A registry to which jobs of GitHub Actions push. Its token endpoint accepts their ID tokens as passwords.
func ExampleOpen() {
	jobs, err := oidc.Open([]string{"testdata/github.yaml"}, &oidc.Options{Error: func(_ context.Context, err error) {
		log.Print("the previous configuration stays in force: ", err)
	}})
	if err != nil {
		log.Fatal(err)
	}
	access, err := rules.Parse([]byte(`
rules:
  - {who: {group: releasers}, repositories: "app/**", actions: [pull, push]}
`))
	if err != nil {
		log.Fatal(err)
	}
	store, err := storage.New(context.Background(), memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := token.New(store, jobs, access, &token.Options{Always: true})
	if err != nil {
		log.Fatal(err)
	}
	reg, err := registry.New(store, &registry.Options{Authenticator: tokens, Authorizer: tokens})
	if err != nil {
		log.Fatal(err)
	}
	w := httptest.NewRecorder()
	tokens.Handler(reg).ServeHTTP(w, httptest.NewRequest(http.MethodPost,
		"https://registry.example/v2/app/web/blobs/uploads/", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output:
	// 401 Bearer realm="https://registry.example/v2/token",service="registry",scope="repository:app/web:pull,push"
}

// A file has one provider. Its errors have the line.
func ExampleParse() {
	_, err := oidc.Parse("github.yaml", []byte(`name: github
issuer: https://token.actions.githubusercontent.com
audience: registry.example
rules:
  - claims: {repository: acme/app}
    identity: "{repository"
`))
	fmt.Println(err)
	// Output:
	// oidc: github.yaml:6: identity: a { without }
}

// Providers as Go values. New makes no request, so it does not matter whether the issuer can be reached.
func ExampleNew() {
	jobs, err := oidc.New([]oidc.Provider{{
		Name: "gitlab", Issuer: "https://gitlab.acme.example", Audience: "registry.example",
		Rules: []oidc.Rule{{
			Claims: map[string][]string{"project_path": {"team/*"}, "ref_protected": {"true"}},
			Robot:  "team+deploy",
		}},
	}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
	r.SetBasicAuth("ann", "a password that is no ID token")
	identity, err := jobs.Authenticate(r)
	fmt.Println(identity.Anonymous(), err)
	// Output:
	// true <nil>
}
