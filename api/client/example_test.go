package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// run starts a registry with the user ann and its management API, and returns the URL of the API.
func run(ctx context.Context) (url string, stop func()) {
	d := memory.New(nil)
	store, err := storage.New(ctx, d, nil)
	check(err)
	people, err := accounts.New(d, nil)
	check(err)
	ann, err := people.CreateUser(ctx, accounts.Actor{}, "ann", "correct horse battery staple", nil)
	check(err)
	check(people.AddAdmin(ctx, accounts.Actor{}, ann.ID))
	users, err := accounts.NewAuthenticator(people, nil)
	check(err)
	reg, err := registry.New(store, &registry.Options{Authenticator: users, Authorizer: accounts.NewAuthorizer(people)})
	check(err)
	manage, err := api.New(reg, &api.Options{Parts: api.Parts{Accounts: people}})
	check(err)
	server := httptest.NewServer(http.StripPrefix("/api", manage))
	return server.URL + "/api", server.Close
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleNew() {
	ctx := context.Background()
	url, stop := run(ctx)
	defer stop()

	c, err := client.New(url, &client.Options{Name: "ann", Secret: "correct horse battery staple"})
	check(err)
	who, err := c.Caller(ctx)
	check(err)
	fmt.Println(who.Name, who.Admin)
	// Output: ann true
}

func ExampleClient_Users() {
	ctx := context.Background()
	url, stop := run(ctx)
	defer stop()
	c, err := client.New(url, &client.Options{Name: "ann", Secret: "correct horse battery staple"})
	check(err)
	for _, name := range []string{"bob", "cleo"} {
		_, _, err := c.CreateUser(ctx, types.NewUser{Name: name}, nil)
		check(err)
	}

	for user, err := range c.Users(ctx, nil) { // the next page is read when it is needed
		check(err)
		fmt.Println(user.Name)
	}
	// Output:
	// ann
	// bob
	// cleo
}

// A change takes the version of the object that it was decided on.
func ExampleClient_UpdateUser() {
	ctx := context.Background()
	url, stop := run(ctx)
	defer stop()
	c, err := client.New(url, &client.Options{Name: "ann", Secret: "correct horse battery staple"})
	check(err)

	_, version, err := c.User(ctx, "ann")
	check(err)
	name := "Ann"
	user, _, err := c.UpdateUser(ctx, "ann", version, types.ProfileChange{FullName: &name}, nil)
	check(err)
	fmt.Println(user.FullName)

	name = "Annie"
	_, _, err = c.UpdateUser(ctx, "ann", version, types.ProfileChange{FullName: &name}, nil)
	fmt.Println("changed meanwhile:", errors.Is(err, client.ErrChanged))
	// Output:
	// Ann
	// changed meanwhile: true
}

// A command line signs in once, and uses the session from then on.
func ExampleNewSignIn() {
	ctx := context.Background()
	signIn, err := client.NewSignIn("https://hub.example.com/signin", nil)
	check(err)
	logIn := func(provider string) (*client.Client, error) {
		begun, err := signIn.Device(ctx, provider)
		if err != nil {
			return nil, err
		}
		fmt.Println("Open", begun.VerificationURI, "and type", begun.UserCode)
		in, err := signIn.Wait(ctx, provider, begun)
		if err != nil {
			return nil, err
		}
		return client.New("https://hub.example.com/api", &client.Options{Session: auth.Secret(in.Session)})
	}
	_ = logIn
}
