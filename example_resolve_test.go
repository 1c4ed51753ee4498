package registry_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
)

// This example keeps the repositories of other registries below the host that clients name with the
// parameter ns, as containerd does. Package mirror has a complete Resolve. A Backend warns when it
// serves what it could not confirm.
func ExampleNameQuery() {
	stale := func(ctx context.Context, _ *registry.Op, next func(context.Context) error) error {
		registry.Warn(ctx, registry.WarnStale, "Response is Stale")
		return next(ctx)
	}
	reg, err := registry.New(newMemory(), &registry.Options{
		Interceptors: []registry.Interceptor{stale},
		Resolve: func(q registry.NameQuery) (string, error) {
			switch {
			case q.Namespace == "":
				return q.Repository, nil
			case q.Namespace != "docker.io":
				return "", registry.ErrNameUnknown
			case q.Write:
				return "", registry.ErrDenied.WithMessage("mirrored repositories are read-only")
			}
			return q.Namespace + "/" + q.Repository, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	image := registrytest.RandomImage(1, 1, 10)
	if err := image.Push(context.Background(), reg.Backend(anybody), "docker.io/library/alpine", "3"); err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(reg)
	defer server.Close()
	for _, path := range []string{"/v2/library/alpine/manifests/3?ns=docker.io", "/v2/library/alpine/manifests/3",
		"/v2/library/alpine/manifests/3?ns=unknown.example", "/v2/library/alpine/manifests/3?ns=https://docker.io"} {
		res, err := http.Head(server.URL + path)
		if err != nil {
			log.Fatal(err)
		}
		res.Body.Close()
		fmt.Printf("%d %q %q\n", res.StatusCode, res.Header.Get("OCI-Namespace"), res.Header.Get("Warning"))
	}
	// Output:
	// 200 "docker.io" "110 - \"Response is Stale\""
	// 404 "" "110 - \"Response is Stale\""
	// 404 "" ""
	// 400 "" ""
}
