package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/registrykit/registry/auth"
)

// keys authenticates by the keys that users of the program have made: clients send them as the
// password of Basic. The cookie of the session does not count here: no page of another site can
// have a browser push.
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

// namespaces gives each user what is below their name, and everybody the pulls below NAME/public.
type namespaces struct{}

func (namespaces) Authorize(_ context.Context, who auth.Identity, accesses []auth.Access) error {
	for _, a := range accesses {
		owner, rest, _ := strings.Cut(a.Name, "/")
		switch {
		case a.Type == auth.TypeRegistry && !who.Anonymous(): // the catalogue shows only what they may pull
		case a.Type == auth.TypeRepository && rest != "" && owner == who.Name:
		case a.Type == auth.TypeRepository && strings.HasPrefix(rest, "public/") && a.Action == auth.Pull:
		default:
			return auth.ErrDenied
		}
	}
	return nil
}
