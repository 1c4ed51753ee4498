package filter_test

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
)

// releases hides tags that start with "tmp-" from lists. It embeds the Backend that it wraps, so
// that all other operations pass unchanged.
//
// A filter that protects something must not do that: operations added to Backend later would bypass
// it. It embeds registry.Unimplemented instead and writes out every method that it supports, or it
// uses registry.Intercept.
type releases struct{ registry.Backend }

// Tags implements registry.Lister.
func (r releases) Tags(ctx context.Context, repo string, opts *registry.ListOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for tag, err := range r.Backend.Tags(ctx, repo, opts) {
			if err == nil && strings.HasPrefix(tag, "tmp-") {
				continue
			}
			if !yield(tag, err) {
				return
			}
		}
	}
}

// A filter that changes results is a type that wraps a Backend. registrytest.TestBackend checks
// that it still keeps the contract.
func Example_backend() {
	ctx, store := context.Background(), newStore()
	if err := registrytest.RandomImage(1, 1, 100).Push(ctx, store, "app", "tmp-1", "v1", "v2"); err != nil {
		panic(err)
	}
	var b registry.Backend = releases{store}
	for tag, err := range b.Tags(ctx, "app", nil) {
		fmt.Println(tag, err)
	}
	// Output:
	// v1 <nil>
	// v2 <nil>
}
