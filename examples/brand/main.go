// Brand shows an existing web application that gets a registry and its page, under its own name: own sign-in, own
// layout around the page, own colours and logo, and fewer views. It runs with one command, and prints what to do:
//
//	go run ./examples/brand
//
// app.go is the application, which knows nothing of the registry. access.go lets the registry ask it who somebody is.
// This file puts both together.
package main

import (
	"context"
	_ "embed" // the layout, the style sheet and the logo
	"fmt"
	"html/template"
	"log"
	"net/http"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/web"
)

// addr is the address of the application.
const addr = "127.0.0.1:5000"

// imagesPath is the path of the page of the registry.
const imagesPath = "/images/"

var (
	//go:embed layout.html
	layout string
	//go:embed style.css
	style []byte
	//go:embed logo.svg
	logo []byte
)

func main() {
	a := newApp("ann", "bob")
	handler, err := newHandler(context.Background(), a)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr: addr, Handler: handler,
		ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 128 << 10,
		DisableGeneralOptionsHandler: true,
	}
	fmt.Printf("Orchard, an application with a registry, is at http://%s.\nSign in as ann or bob, with the password %s.\n",
		addr, a.password)
	log.Fatal(server.ListenAndServe())
}

// newHandler returns the application with the registry at /v2/ and its page at /images/.
func newHandler(ctx context.Context, a *app) (http.Handler, error) {
	store, err := storage.New(ctx, memory.New(nil), nil)
	if err != nil {
		return nil, err
	}
	if err := seed(ctx, store); err != nil {
		return nil, err
	}
	go store.CollectEvery(ctx, nil)
	// Clients such as docker log in with keys of the application. They never send its cookie.
	logins, err := token.New(store, keys{a}, plots{}, nil)
	if err != nil {
		return nil, err
	}
	reg, err := registry.New(store, &registry.Options{Authenticator: logins, Authorizer: logins})
	if err != nil {
		return nil, err
	}
	// The page asks the management API in the same process, as the user of the cookie. The API has no path of its own.
	manage, err := api.New(reg, &api.Options{Authenticator: cookies{a}, Tags: store.Inventory()})
	if err != nil {
		return nil, err
	}
	own, err := template.New("layout").Parse(layout)
	if err != nil {
		return nil, err
	}
	page, err := web.New(manage, &web.Options{
		Path: imagesPath, Name: "Orchard images", Layout: own,
		Look:      web.Look{Accent: "light-dark(#8c3b12, #ffb38a)", Logo: logo, CSS: style},
		Links:     []web.Link{{Title: "Help of Orchard", URL: "/help"}},
		Without:   []string{"profile", "language"},
		Languages: []string{"en"},
		SignInURL: "/login", SignOutURL: "/logout",
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	a.routes(mux)
	mux.Handle("/v2/", logins.Handler(reg))
	mux.Handle(imagesPath, page)
	return mux, nil
}
