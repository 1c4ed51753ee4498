package layout_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/layout"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// This example exports a repository to an archive that "docker load", skopeo and others read.
func ExampleCreate() {
	dir, remove := exampleDir()
	defer remove()
	path := filepath.Join(dir, "app.tar")
	if err := export(exampleStore("team/app:v1", "team/app:v2"), "team/app", path); err != nil {
		log.Fatal(err)
	}
	fmt.Println(filepath.Base(path))
	// Output: app.tar
}

// export writes all tags of a repository, with their referrers, to a directory or an archive.
func export(from registry.Backend, repo, path string) error {
	l, err := layout.Create(path, &layout.Options{Repository: repo})
	if err != nil {
		return err
	}
	defer func() { _ = l.Abort() }() // does nothing after Close
	_, err = replicate.Sync(context.Background(), l, from, []replicate.Rule{{
		Repositories: []string{repo}, Options: &replicate.Options{Referrers: true},
	}})
	if err != nil {
		return err
	}
	return l.Close()
}

// This example imports all images of an archive below one name, whichever program wrote the archive.
func ExampleOpen() {
	dir, remove := exampleDir()
	defer remove()
	path := filepath.Join(dir, "images.tar")
	if err := export(exampleStore("app:v1"), "app", path); err != nil {
		log.Fatal(err)
	}

	l, err := layout.Open(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	store := exampleStore()
	res, err := replicate.Sync(context.Background(), store, l, []replicate.Rule{{
		Repositories: []string{"**"}, To: func(repo string) string { return "imported/" + repo },
		Options: &replicate.Options{Referrers: true},
	}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Copied, res.Changes[0].Repository, res.Changes[0].Tag)
	// Output: 1 imported/app v1
}

// This example imports images without a name, such as those of "crane pull --format=oci".
func ExampleLayout_Roots() {
	dir, remove := exampleDir()
	defer remove()
	path := filepath.Join(dir, "layout")
	if err := export(exampleStore("app:v1"), "app", path); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	l, err := layout.Open(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	roots, err := l.Roots(ctx)
	if err != nil {
		log.Fatal(err)
	}
	store := exampleStore()
	for i, r := range roots {
		_, err := replicate.Copy(ctx, store, l, "image@"+string(r.Descriptor.Digest), &replicate.Options{
			To: fmt.Sprintf("imported/app:%d", i),
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(len(roots))
	// Output: 1
}

// exampleStore returns a store with images.
func exampleStore(refs ...string) *storage.Store {
	s, err := storage.New(context.Background(), memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	for i, ref := range refs {
		repo, tag, _ := strings.Cut(ref, ":")
		if err := registrytest.RandomImage(uint64(i), 2, 1000).Push(context.Background(), s, repo, tag); err != nil {
			log.Fatal(err)
		}
	}
	return s
}

// exampleDir returns a new temporary directory, and a function that removes it.
func exampleDir() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "layout-example-")
	if err != nil {
		log.Fatal(err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }
}
