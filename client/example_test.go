package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// A client offers the same operations on a remote registry as a Backend in this process.
func ExampleNew() {
	store, err := storage.New(context.Background(), memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	reg, err := registry.New(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(reg)
	defer server.Close()

	c, err := client.New(server.URL, &client.Options{
		HTTPClient: server.Client(),
		Authorize: func(r *http.Request) error {
			r.SetBasicAuth("alice", "password")
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	desc, err := registry.PushBlob(ctx, c, "a/b", "", strings.NewReader("hello"))
	fmt.Println("pushed", desc.Size, err)
	got, err := store.StatBlob(ctx, "a/b", desc.Digest, nil)
	fmt.Println("stored", got.Size, err)
	// Output:
	// pushed 5 <nil>
	// stored 5 <nil>
}

// Fetch reads a part of a blob with one request. The caller verifies the content.
func ExampleClient_Fetch() {
	store, err := storage.New(context.Background(), memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	reg, err := registry.New(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(reg)
	defer server.Close()
	ctx := context.Background()
	desc, err := registry.PushBlob(ctx, store, "a/b", "", strings.NewReader("hello, world"))
	if err != nil {
		log.Fatal(err)
	}

	c, err := client.New(server.URL, &client.Options{HTTPClient: server.Client()})
	if err != nil {
		log.Fatal(err)
	}
	part, err := c.Fetch(ctx, "a/b", desc.Digest, &client.FetchOptions{Offset: 7})
	if err != nil {
		log.Fatal(err)
	}
	defer part.Body.Close()
	content, err := io.ReadAll(part.Body)
	fmt.Printf("%s %d %d %v\n", content, part.Offset, part.Size, err)
	// Output: world 7 12 <nil>
}

// Errors of another registry are those of package registry. Their cause is a [client.Error] with the
// response.
func ExampleError() {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	c, err := client.New(server.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	_, err = c.GetManifest(context.Background(), "a/b", reference.Ref{Tag: "v1"})
	fmt.Println(errors.Is(err, registry.ErrManifestUnknown))
	var response *client.Error
	if errors.As(err, &response) {
		fmt.Println(response.Status)
	}
	// Output:
	// true
	// 404
}
