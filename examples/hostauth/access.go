package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/registrykit/registry/auth"
)

// keys authenticates by keys that users of the program have created. Clients send a key as the
// password of Basic authentication. Session cookies are ignored, so that no page of another site
// can make a browser push.
type keys struct{ app *app }

func (k keys) Authenticate(r *http.Request) (auth.Identity, error) {
	name, key, ok := r.BasicAuth()
	switch {
	case len(r.Header["Authorization"]) == 0:
		return auth.Identity{}, nil
	case !ok || !k.app.hasKey(name, key):
		return auth.Identity{}, auth.ErrCredentials
	}
	return auth.Identity{Name: name}, nil
}

func (keys) Challenge(*http.Request, []auth.Access) string { return `Basic realm="registry"` }

// namespaces allows each user everything below their name, and everybody to pull below NAME/public.
type namespaces struct{}

func (namespaces) Authorize(_ context.Context, who auth.Identity, accesses []auth.Access) error {
	for _, a := range accesses {
		owner, rest, _ := strings.Cut(a.Name, "/")
		switch {
		case a.Type == auth.TypeRegistry && !who.Anonymous(): // the catalog lists only what the user may pull
		case a.Type == auth.TypeRepository && rest != "" && owner == who.Name:
		case a.Type == auth.TypeRepository && strings.HasPrefix(rest, "public/") && a.Action == auth.Pull:
		default:
			return auth.ErrDenied
		}
	}
	return nil
}
