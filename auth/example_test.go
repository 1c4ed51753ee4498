package auth_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/registrykit/registry/auth"
)

// Everybody may pull; the rest is for the owners of a name, and only they may push below it.
func ExampleAuthorizerFunc() {
	var authorizer auth.Authorizer = auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, accesses []auth.Access) error {
		for _, a := range accesses {
			own := a.Type == auth.TypeRepository && !who.Anonymous() && strings.HasPrefix(a.Name, who.Name+"/")
			if a.Action != auth.Pull && !own {
				return fmt.Errorf("%s: %w", a, auth.ErrDenied)
			}
		}
		return nil
	})
	push := []auth.Access{{Type: auth.TypeRepository, Name: "ann/app", Action: auth.Push}}
	fmt.Println(authorizer.Authorize(context.Background(), auth.Identity{Name: "ann"}, push))
	fmt.Println(authorizer.Authorize(context.Background(), auth.Identity{Name: "bob"}, push))
	// Output:
	// <nil>
	// repository:ann/app:push: auth: access denied
}
