package acr_test

import (
	"fmt"

	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/client/login/acr"
)

// A program usually gets the credential by azidentity.NewDefaultAzureCredential.
func ExampleSource() {
	l, err := login.New("https://example.azurecr.io", &login.Options{Source: acr.Source(&credential{}, nil)})
	fmt.Println(l != nil, err)
	// Output: true <nil>
}
