package signin_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/auth/signin"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// People sign in with a password or at the provider of their company.
func ExampleNew() {
	ctx, driver := context.Background(), memory.New(nil)
	store, err := storage.New(ctx, driver, nil)
	check(err)
	key, err := store.SharedSecret(ctx, "signin") // the same at all replicas
	check(err)
	people, err := accounts.New(driver, nil)
	check(err)
	logins, err := accounts.NewAuthenticator(people, nil)
	check(err)
	sessions, err := session.New(driver, people, nil)
	check(err)
	login, err := signin.New(people, sessions, key, &signin.Options{
		URL:       "https://registry.example/signin",
		Passwords: logins,
		Providers: []signin.Provider{{
			Name: "company", Issuer: "https://id.example", ClientID: "registry", ClientSecret: "secret",
			Create: signin.ByName,
			Teams:  []signin.Mapping{{Group: "developers", Team: "acme/dev"}},
		}},
	})
	check(err)
	mux := http.NewServeMux()
	mux.Handle("/signin/", http.StripPrefix("/signin", login))

	_, err = people.CreateUser(ctx, accounts.Actor{}, "ann", "sunny cello marmot", nil)
	check(err)
	r := httptest.NewRequest(http.MethodPost, "https://registry.example/signin/password",
		strings.NewReader(`{"name": "ann", "password": "sunny cello marmot"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Result().Cookies()[0].Name)
	// Output: 200 __Host-registry-session
}

// A YAML file has the providers; docs/signin.md has examples of many.
func ExampleParse() {
	providers, err := signin.Parse("signin.yaml", []byte(`
providers:
- name: company
  issuer: https://id.example
  clientID: registry
  create: name
  teams:
  - {group: developers, team: acme/dev}
`))
	check(err)
	fmt.Println(providers[0].Name, providers[0].Teams[0].Team)
	// Output: company acme/dev
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
