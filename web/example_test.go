package web_test

import (
	"context"
	"fmt"
	"html/template"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/web"
)

// newAPI returns the management API of a registry in memory that everybody may read.
func newAPI() *api.API {
	store, err := storage.New(context.Background(), memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	readers, err := rules.Parse([]byte(
		"rules: [{name: readers, who: everyone, repositories: '**', actions: [pull, catalog]}]"))
	if err != nil {
		log.Fatal(err)
	}
	reg, err := registry.New(store, &registry.Options{Authorizer: readers})
	if err != nil {
		log.Fatal(err)
	}
	manage, err := api.New(reg, &api.Options{Tags: store.Inventory()})
	if err != nil {
		log.Fatal(err)
	}
	return manage
}

// show prints the lines of a page that contain one of some texts.
func show(page http.Handler, path string, texts ...string) {
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	for line := range strings.Lines(w.Body.String()) {
		for _, text := range texts {
			if strings.Contains(line, text) {
				fmt.Println(strings.TrimSpace(line))
			}
		}
	}
}

// A page with the name, the colour and the links of a product.
func ExampleNew() {
	page, err := web.New(newAPI(), &web.Options{
		Name:  "Harbourside",
		Look:  web.Look{Accent: "light-dark(#7a1f5c, #f2a7d3)", CSS: []byte(":root { --radius: 2px; }")},
		Links: []web.Link{{Title: "Status", URL: "https://status.example"}, {Title: "Help", URL: "mailto:help@example.com"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/ui/", page)
	show(mux, "/ui/", "<title>", "status.example")
	// Output:
	// <title>Repositories · Harbourside</title>
	// <a href="https://status.example" rel="noopener">Status</a>
}

// A layout of the host: its own header around the views, and its own sign-in.
func ExampleOptions_layout() {
	layout := template.Must(template.New("portal").Parse(`<!doctype html>
<html lang="{{.Language}}">
<head><meta charset="utf-8"><title>{{.Title}} – Portal</title>{{.Head}}</head>
<body>
<header><a href="/">Portal</a> {{with .Caller}}Hello, {{.}}{{else}}<a href="/login">Log in</a>{{end}}</header>
{{.Main}}
{{.Footer}}
</body>
</html>`))
	page, err := web.New(newAPI(), &web.Options{Layout: layout, SignInURL: "/login", Path: "/images/"})
	if err != nil {
		log.Fatal(err)
	}
	show(page, "/images/", "Portal")
	// Output:
	// <head><meta charset="utf-8"><title>Repositories – Portal</title><meta name="color-scheme" content="light dark">
	// <header><a href="/">Portal</a> <a href="/login">Log in</a></header>
}
