// Disk is the smallest program with a registry on a directory. TestSizes measures it.
package main

import (
	"context"
	"log"
	"net/http"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

func main() {
	driver, err := disk.New("registry-data", nil)
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
	log.Fatal(http.ListenAndServe("127.0.0.1:5000", reg))
}
