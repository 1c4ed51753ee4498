package accounts_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// A registry with accounts. Users log in with docker login, and push below their names.
func ExampleNew() {
	ctx, driver := context.Background(), memory.New(nil) // usually a disk or a bucket
	store, err := storage.New(ctx, driver, nil)
	if err != nil {
		log.Fatal(err)
	}
	people, err := accounts.New(driver, &accounts.Options{InUse: accounts.RepositoriesOf(store)})
	if err != nil {
		log.Fatal(err)
	}
	logins, err := accounts.NewAuthenticator(people, nil)
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := token.New(store, logins, accounts.NewAuthorizer(people), nil)
	if err != nil {
		log.Fatal(err)
	}
	reg, err := registry.New(store, &registry.Options{Authenticator: tokens, Authorizer: tokens})
	if err != nil {
		log.Fatal(err)
	}
	handler := tokens.Handler(reg)

	if _, err := people.CreateUser(ctx, accounts.Actor{Name: "example"}, "ann", "seven violet teapots", nil); err != nil {
		log.Fatal(err)
	}
	for _, repository := range []string{"ann/app", "bert/app"} {
		r := httptest.NewRequest(http.MethodPost, "https://registry.example/v2/"+repository+"/blobs/uploads/", nil)
		r.SetBasicAuth("ann", "seven violet teapots")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(repository, w.Code)
	}
	// Output:
	// ann/app 202
	// bert/app 403
}

// A robot with a secret that can only pull. The rotation keeps the old secret valid for a day, so that no job fails
// while the new secret is distributed.
func ExampleAccounts_RotateSecret() {
	ctx, by := context.Background(), accounts.Actor{Name: "example"}
	people, err := accounts.New(memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	ann, err := people.CreateUser(ctx, by, "ann", "", nil)
	if err != nil {
		log.Fatal(err)
	}
	robot, err := people.CreateRobot(ctx, by, ann.ID, "deploy", []accounts.Grant{
		{Repositories: "app/**", Role: accounts.Write}})
	if err != nil {
		log.Fatal(err)
	}
	old, err := people.CreateSecret(ctx, by, robot.ID, "ci", &accounts.SecretOptions{
		Scopes: []accounts.Grant{{Repositories: "ann/app/**", Role: accounts.Read}}})
	if err != nil {
		log.Fatal(err)
	}
	next, err := people.RotateSecret(ctx, by, robot.ID, old.ID, 24*time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(next.Value.Value()[:4], next.Name, next.Scopes) // Value is shown only now
	for s, err := range people.Secrets(ctx, robot.ID) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(s.Name, !s.Expires.IsZero(), s.Rotated == next.ID)
	}
	// Output:
	// rkr_ ci [{ann/app/** read}]
	// ci true true
	// ci false false
}
