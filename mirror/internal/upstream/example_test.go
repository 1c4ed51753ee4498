package upstream_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/mirror/internal/upstream"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// The first URL does not respond, so the blob comes from the second one.
func ExampleNew() {
	ctx := context.Background()
	store, err := storage.New(ctx, memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	reg, err := registry.New(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	up, down := httptest.NewServer(reg), httptest.NewServer(nil)
	defer up.Close()
	down.Close()
	desc, err := registry.PushBlob(ctx, store, "library/alpine", "", strings.NewReader("a layer"))
	if err != nil {
		log.Fatal(err)
	}

	u, err := upstream.New(upstream.Options{Name: "example.com", URLs: []string{down.URL, up.URL}, Via: "mirror1"})
	if err != nil {
		log.Fatal(err)
	}
	defer u.Close()
	res, err := u.Blobs("library/alpine").Fetch(ctx, desc.Digest, 2, "")
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	fmt.Printf("%s, from byte %d of %d: %v\n", content, res.Offset, res.Size, err)
	fmt.Println(u.Stats().Requests, u.Stats().Errors)
	// Output:
	// layer, from byte 2 of 7: <nil>
	// map[GET blob:2] map[connect:1]
}
