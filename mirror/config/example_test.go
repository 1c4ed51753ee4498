package config_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/mirror/config"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// A program reads its mirror from a file. It may set options that a file cannot have.
func ExampleLoad() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "mirror.yaml")
	file := "upstreams: [{name: ghcr.io, urls: [https://ghcr.io]}]\nmaxSize: 10GiB\n"
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		log.Fatal(err)
	}

	c, err := config.Load(path)
	if err != nil {
		log.Fatal(err)
	}
	c.Options.Admit = func(_ context.Context, image *mirror.Image) error { return nil } // ask a scanner here
	ctx, d := context.Background(), memory.New(nil)
	store, err := storage.New(ctx, d, nil)
	if err != nil {
		log.Fatal(err)
	}
	_, err = mirror.New(ctx, store, d, c.Upstreams, &c.Options)
	fmt.Println(c.Upstreams[0].Name, c.Options.MaxSize>>30, err)
	// Output: ghcr.io 10 <nil>
}

// A configuration of two upstreams, and what a mistake in it looks like.
func ExampleParse() {
	c, err := config.Parse([]byte(`
upstreams:
  - name: docker.io
    urls: [https://registry-1.docker.io]
    tagTTL: 1h
  - {name: ghcr.io, urls: [https://ghcr.io], allow: ["acme/**"]}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, u := range c.Upstreams {
		fmt.Println(u.Name, u.URLs, u.TagTTL, u.Allow)
	}
	_, err = config.Parse([]byte(`
upstreams:
  - {name: ghcr.io, urls: [https://ghcr.io], allow: ["acme/["]}
`))
	fmt.Println(err)
	// Output:
	// docker.io [https://registry-1.docker.io] 1h0m0s []
	// ghcr.io [https://ghcr.io] 0s [acme/**]
	// config: line 3: allow: pattern "acme/[": malformed
}

// The value of a flag such as -cache-size.
func ExampleParseSize() {
	fmt.Println(config.ParseSize("10GiB"))
	_, err := config.ParseSize("10GB")
	fmt.Println(err)
	// Output:
	// 10737418240 <nil>
	// this must be a size above zero, such as 1048576, 512MiB or 10GiB
}
