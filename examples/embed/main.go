// Embed shows the fewest lines that add a registry to a program with routes of its own. They are
// the twenty lines of the README:
//
//	go run ./examples/embed
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/middleware"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

func main() {
	ctx := context.Background()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "my application") })

	driver, err := disk.New("./registry-data", nil)
	if err != nil {
		log.Fatal(err)
	}
	store, err := storage.New(ctx, driver, nil)
	if err != nil {
		log.Fatal(err)
	}
	go store.CollectEvery(ctx, nil)
	reg, err := registry.New(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	mux.Handle("/v2/", middleware.LocalOnly(reg))

	server := &http.Server{
		Addr: "127.0.0.1:5000", Handler: mux,
		ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 128 << 10,
		DisableGeneralOptionsHandler: true,
	}
	log.Print("A registry at http://127.0.0.1:5000. Try:\n",
		"  docker pull busybox && docker tag busybox 127.0.0.1:5000/busybox\n",
		"  docker push 127.0.0.1:5000/busybox && docker pull 127.0.0.1:5000/busybox")
	log.Fatal(server.ListenAndServe())
}
