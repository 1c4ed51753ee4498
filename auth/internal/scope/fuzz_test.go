package scope

import (
	"slices"
	"strings"
	"testing"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
)

// FuzzParse: for any text, the number of scopes is bounded, and each access is valid and was asked
// for.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"repository:a/b:pull,push", "repository:host:5000/a:*", "repository(plugin):a:pull", "registry:catalog:*",
		"a:b:c d:e:f", "::", ":a:", "(:):", "",
		"repository:a:pull,pull,,push,overwrite,delete",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		scopes, err := Parse([]string{s, s})
		if err != nil {
			return
		}
		if len(scopes) > Max {
			t.Fatal(len(scopes))
		}
		for _, scope := range scopes {
			for _, a := range scope.Accesses() {
				switch {
				case a.Type == auth.TypeRepository && reference.CheckName(a.Name) != nil,
					a.Type != auth.TypeRepository && a != auth.Access{Type: auth.TypeRegistry, Name: auth.NameCatalog,
						Action: auth.All},
					!strings.Contains(s, ":"+a.Name+":"),
					!slices.Contains(scope.Actions, string(a.Action)) && !slices.Contains(scope.Actions, "*"):
					t.Fatal(a)
				}
			}
		}
	})
}
