package client_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// A client offers the same operations on a remote registry as a Backend in this process.
func ExampleNew() {
	driver, err := memory.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	store, err := storage.New(context.Background(), driver, nil)
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
	for name, b := range map[string]registry.Backend{"elsewhere": c} {
		desc, err := registry.PushBlob(context.Background(), b, "a/b", "", strings.NewReader("hello"))
		fmt.Println(name, desc.Size, err)
		got, err := store.StatBlob(context.Background(), "a/b", desc.Digest, nil)
		fmt.Println("here", got.Size, err)
	}
	// Output:
	// elsewhere 5 <nil>
	// here 5 <nil>
}
