package gar_test

import (
	"fmt"

	"golang.org/x/oauth2"

	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/client/login/gar"
)

// A program usually gets the tokens by google.DefaultTokenSource with the scope gar.Scope.
func ExampleSource() {
	tokens := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "ya29.example"})
	l, err := login.New("https://europe-docker.pkg.dev", &login.Options{Source: gar.Source(tokens)})
	fmt.Println(l != nil, err)
	// Output: true <nil>
}
