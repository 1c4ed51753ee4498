package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/registrykit/registry/auth"
)

// cookies identifies the people who use the page by the session of the application. It is never asked about pushes and
// pulls. The page itself refuses changes that pages of other origins send.
type cookies struct{ app *app }

func (c cookies) Authenticate(r *http.Request) (auth.Identity, error) {
	return auth.Identity{Name: c.app.user(r)}, nil // without a session, an anonymous caller
}

func (cookies) Challenge(*http.Request, []auth.Access) string { return "" }

// keys identifies docker and other clients by the keys that users have made on the page of the application.
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

func (keys) Challenge(*http.Request, []auth.Access) string { return `Basic realm="Orchard"` }

// plots lets each user do everything below the own name, and lets all users pull below orchard.
type plots struct{}

func (plots) Authorize(_ context.Context, who auth.Identity, accesses []auth.Access) error {
	for _, a := range accesses {
		first, rest, _ := strings.Cut(a.Name, "/")
		switch {
		case who.Anonymous():
			return auth.ErrDenied
		case a.Type == auth.TypeRegistry && a.Name == auth.NameCatalog: // a list has only what the caller may pull
		case a.Type == auth.TypeRepository && rest != "" && first == who.Name:
		case a.Type == auth.TypeRepository && first == "orchard" && a.Action == auth.Pull:
		default:
			return auth.ErrDenied
		}
	}
	return nil
}
