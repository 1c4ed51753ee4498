package mirror_test

import (
	"context"
	"fmt"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// Local repositories and those of a mirror appear as one registry. Here, a store stands for the mirror: a
// program passes the result of mirror.New.
func ExampleNewGroup() {
	ctx := context.Background()
	local, hub := exampleStore(ctx), exampleStore(ctx)
	image := registrytest.RandomImage(1, 1, 100)
	if err := image.Push(ctx, hub, "docker.io/library/alpine", "3"); err != nil {
		fmt.Println(err)
		return
	}

	g, err := mirror.NewGroup([]mirror.Member{
		{Name: "local", Backend: local}, // everything else
		{Name: "mirror", Backend: hub, Repositories: []string{"docker.io/**"}},
	}, &mirror.GroupOptions{Write: "local"})
	if err != nil {
		fmt.Println(err)
		return
	}

	fmt.Println(image.Push(ctx, g, "team/app", "v1"))
	for repo, err := range g.Repositories(ctx, nil) {
		fmt.Println(repo, err)
	}
	err = image.Push(ctx, g, "docker.io/library/alpine", "4") // belongs to the mirror
	fmt.Println(err)
	// Output:
	// <nil>
	// docker.io/library/alpine <nil>
	// team/app <nil>
	// DENIED: the repository is read-only
}

// An overlay: local images replace those of the mirror, tag by tag. All names are mixed, so use it only
// where everyone who may push locally may also decide what others pull.
func ExampleNewGroup_overlay() {
	ctx := context.Background()
	local, hub := exampleStore(ctx), exampleStore(ctx)
	patched, original := registrytest.RandomImage(1, 1, 100), registrytest.RandomImage(2, 1, 100)
	for _, err := range []error{
		original.Push(ctx, hub, "docker.io/library/alpine", "3", "edge"),
		patched.Push(ctx, local, "docker.io/library/alpine", "3"),
	} {
		if err != nil {
			fmt.Println(err)
			return
		}
	}

	g, err := mirror.NewGroup([]mirror.Member{
		{Name: "local", Backend: local}, // asked first
		{Name: "mirror", Backend: hub, Repositories: []string{"docker.io/**"}},
	}, &mirror.GroupOptions{Write: "local", Mixed: []string{"docker.io/**"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for tag, err := range g.Tags(ctx, "docker.io/library/alpine", nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		m, err := g.GetManifest(ctx, "docker.io/library/alpine", reference.Ref{Tag: tag})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(tag, m.Descriptor.Digest == patched.Descriptor.Digest)
	}
	// Output:
	// 3 true
	// edge false
}

// exampleStore returns an empty store.
func exampleStore(ctx context.Context) registry.Backend {
	s, err := storage.New(ctx, memory.New(nil), nil)
	if err != nil {
		panic(err)
	}
	return s
}
