package token_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// Everybody pulls, and users who log in push.
func ExampleNew() {
	store, err := storage.New(context.Background(), memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	authorizer := auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, accesses []auth.Access) error {
		for _, a := range accesses {
			if who.Anonymous() && a.Action != auth.Pull {
				return auth.ErrDenied
			}
		}
		return nil
	})
	tokens, err := token.New(store, users{"ann": "secret"}, authorizer, nil)
	if err != nil {
		log.Fatal(err)
	}
	reg, err := registry.New(store, &registry.Options{Authenticator: tokens, Authorizer: tokens})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/v2/", tokens.Handler(reg))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("POST", "https://registry.example/v2/app/blobs/uploads/", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output:
	// 401 Bearer realm="https://registry.example/v2/token",service="registry",scope="repository:app:pull,push"
}

// A login that docker makes, and a refresh token that ends when it is revoked.
func ExampleNewRefreshTokens() {
	ctx, d := context.Background(), memory.New(nil)
	store, err := storage.New(ctx, d, nil)
	if err != nil {
		log.Fatal(err)
	}
	refresh, err := token.NewRefreshTokens(d, nil)
	if err != nil {
		log.Fatal(err)
	}
	// newPeople returns an Authenticator that is an auth.Renewer, as that of package accounts is.
	tokens, err := token.New(store, newPeople(), all, &token.Options{Refresh: refresh})
	if err != nil {
		log.Fatal(err)
	}

	login := httptest.NewRequest("GET", "https://registry.example/v2/token?offline_token=true&client_id=docker", nil)
	login.SetBasicAuth("ann", "secret")
	w := httptest.NewRecorder()
	tokens.ServeHTTP(w, login)
	var a struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		log.Fatal(err)
	}
	pull := func() int {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {a.RefreshToken},
			"scope": {"repository:app:pull"}}
		r := httptest.NewRequest("POST", "https://registry.example/v2/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		tokens.ServeHTTP(w, r)
		return w.Code
	}
	fmt.Println(pull())
	for t, err := range refresh.List(ctx, "ann") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(t.Client, t.Expires.Sub(t.LastUsed))
	}
	fmt.Println(refresh.RevokeAll(ctx, "ann"))
	fmt.Println(pull())
	// Output:
	// 200
	// docker 2184h0m0s
	// 1 <nil>
	// 401
}
