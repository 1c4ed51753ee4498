package token

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
)

// FuzzScopes: for any text, the number of scopes is bounded, and each access is valid and was asked
// for.
func FuzzScopes(f *testing.F) {
	for _, s := range []string{
		"repository:a/b:pull,push", "repository:host:5000/a:*", "repository(plugin):a:pull", "registry:catalog:*",
		"a:b:c d:e:f", "::", ":a:", "(:):", "",
		"repository:a:pull,pull,,push,overwrite,delete",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		scopes, err := parseScopes(url.Values{"scope": {s, s}})
		if err != nil {
			return
		}
		if len(scopes) > maxScopes {
			t.Fatal(len(scopes))
		}
		for _, scope := range scopes {
			for _, a := range scope.accesses() {
				switch {
				case a.Type == auth.TypeRepository && reference.CheckName(a.Name) != nil,
					a.Type != auth.TypeRepository && a != auth.Access{Type: auth.TypeRegistry, Name: auth.NameCatalog,
						Action: auth.All},
					!strings.Contains(s, ":"+a.Name+":"),
					!slices.Contains(scope.actions, string(a.Action)) && !slices.Contains(scope.actions, "*"):
					t.Fatal(a)
				}
			}
		}
	})
}
