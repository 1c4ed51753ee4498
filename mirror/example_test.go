package mirror_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// The mirror serves a registry that a client names with the parameter ns, as containerd does, and
// goes on when that registry is gone.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	hub := upstreamtest.New(new(testing.B)) // stands for https://registry-1.docker.io
	hub.Image("library/alpine", "3", []byte("a layer"))

	d := memory.New(nil)
	store, err := storage.New(ctx, d, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := mirror.New(ctx, store, d, []mirror.Upstream{
		{Name: "docker.io", URLs: []string{hub.URL}},
		{Name: "ghcr.io", URLs: []string{"https://ghcr.io"}, Allow: []string{"acme/**"}},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = m.Run(ctx) }()
	reg, err := registry.New(m, &registry.Options{Resolve: m.Resolve})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := httptest.NewServer(m.Middleware(reg))
	defer s.Close()

	get := func(path string) {
		res, err := http.Get(s.URL + path)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			fmt.Println(err)
		}
		fmt.Println(res.Status)
	}
	get("/v2/library/alpine/manifests/3?ns=docker.io")
	get("/v2/docker.io/library/alpine/manifests/3")
	get("/v2/other/app/manifests/1?ns=ghcr.io")
	get("/v2/library/alpine/manifests/3?ns=registry.example")
	hub.SetDown(true)
	get("/v2/docker.io/library/alpine/manifests/3")
	// Output:
	// 200 OK
	// 200 OK
	// 403 Forbidden
	// 404 Not Found
	// 200 OK
}

func ExampleMirror_Refresh() {
	ctx := context.Background()
	up := upstreamtest.New(new(testing.B))
	up.Image("acme/app", "v1", []byte("a layer"))
	d := memory.New(nil)
	store, err := storage.New(ctx, d, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := mirror.New(ctx, store, d, []mirror.Upstream{{Name: "acme.example", URLs: []string{up.URL}}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	changed, err := m.Refresh(ctx, "acme.example/acme/app", "v1")
	fmt.Println(changed, err)
	changed, err = m.Refresh(ctx, "acme.example/acme/app", "v1")
	fmt.Println(changed, err)
	// Output:
	// 1 <nil>
	// 0 <nil>
}

// A pinned image stays in the mirror whatever its size. See replicate.Pin to fetch all of it as well.
func ExampleMirror_Pin() {
	ctx := context.Background()
	d := memory.New(nil)
	store, err := storage.New(ctx, d, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := mirror.New(ctx, store, d, []mirror.Upstream{{Name: "ghcr.io", URLs: []string{"https://ghcr.io"}}},
		&mirror.Options{MaxSize: 100 << 30})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Pin(ctx, "ghcr.io/acme/app", reference.Ref{Tag: "v1"}))
	for pin, err := range m.Pins(ctx) {
		fmt.Println(pin, err)
	}
	// Output:
	// <nil>
	// ghcr.io/acme/app:v1 <nil>
}
