package registrytest_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// pulls is the program under test of the examples: it reports whether it can pull an image.
func pulls(ctx context.Context, baseURL, repo, tag string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, baseURL+"/v2/"+repo+"/manifests/"+tag, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("pull %s:%s: %s", repo, tag, res.Status)
	}
	return nil
}

// TestExampleNewServer shows a test of a program that pulls an image.
func TestExampleNewServer(t *testing.T) {
	s := registrytest.NewServer(t, nil) // stops when the test ends
	if err := registrytest.RandomImage(1, 2, 1000).Push(t.Context(), s.Store, "app", "v1"); err != nil {
		t.Fatal(err)
	}
	if err := pulls(t.Context(), s.URL, "app", "v1"); err != nil {
		t.Error(err)
	}
}

// TestExampleFaults shows a test of how a program behaves when the registry fails.
func TestExampleFaults(t *testing.T) {
	var faults registrytest.Faults
	s := registrytest.NewServer(t, &registry.Options{Interceptors: []registry.Interceptor{faults.Intercept}})
	if err := registrytest.RandomImage(1, 2, 1000).Push(t.Context(), s.Store, "app", "v1"); err != nil {
		t.Fatal(err)
	}
	faults.Fail(1, registry.ErrUnavailable, registry.OpGetManifest)
	if err := pulls(t.Context(), s.URL, "app", "v1"); err == nil {
		t.Error("the first pull must fail")
	}
	if err := pulls(t.Context(), s.URL, "app", "v1"); err != nil {
		t.Error(err)
	}
	if n := faults.Count(registry.OpGetManifest); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

// In a test function, t is its argument.
func ExampleNewServer() {
	var t *testing.T
	s := registrytest.NewServer(t, nil)
	if err := registrytest.RandomImage(1, 2, 1000).Push(t.Context(), s.Store, "app", "v1"); err != nil {
		t.Fatal(err)
	}
	if err := pulls(t.Context(), s.URL, "app", "v1"); err != nil {
		t.Error(err)
	}
}

// This Backend is the guard of a registry that acts for one identity, and takes an owner of "" for
// that identity. Options states that, and what a Backend does not support. In a test function, t is
// its argument. TestReleases in package filter is such a test.
func ExampleTestBackend() {
	var t *testing.T
	registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
		reg, err := registry.New(registrytest.NewStore(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		return reg.Backend(auth.Identity{Name: registrytest.DefaultOwner})
	}, &registrytest.Options{FillsOwner: true})
}

// Faults works on any Backend, also without HTTP.
func ExampleFaults() {
	driver := memory.New(nil)
	ctx := context.Background()
	store, err := storage.New(ctx, driver, nil)
	if err != nil {
		panic(err)
	}
	var faults registrytest.Faults
	b := registry.Intercept(store, faults.Intercept)
	if err := registrytest.RandomImage(1, 2, 1000).Push(ctx, b, "app", "v1"); err != nil {
		panic(err)
	}

	faults.Fail(1, registry.ErrUnavailable, registry.OpGetManifest)
	for range 2 {
		_, err := b.GetManifest(ctx, "app", reference.Ref{Tag: "v1"})
		fmt.Println(err)
	}
	fmt.Println(faults.Count(registry.OpGetManifest), "operations")
	// Output:
	// UNAVAILABLE: service unavailable
	// <nil>
	// 2 operations
}
