// Hostauth shows a registry that uses the accounts of its host program: the program has users and
// sessions of its own. Each user owns the repositories NAME/*, and everybody may pull
// NAME/public/*.
//
//	go run ./examples/hostauth
//	curl -c jar -d name=ann http://127.0.0.1:5000/login     # the program's own login
//	curl -b jar -X POST http://127.0.0.1:5000/key           # a key for docker
//	docker login -u ann -p KEY 127.0.0.1:5000
package main

import (
	"context"
	"log"
	"net/http"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

func main() {
	handler, err := newHandler(context.Background(), newApp("ann", "bob"))
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr: "127.0.0.1:5000", Handler: handler,
		ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 128 << 10,
		DisableGeneralOptionsHandler: true,
	}
	log.Print("A program with a registry at http://127.0.0.1:5000. Try:\n",
		"  curl -c jar -d name=ann http://127.0.0.1:5000/login && curl -b jar -X POST http://127.0.0.1:5000/key\n",
		"  docker login -u ann -p KEY 127.0.0.1:5000   # with the key that curl has printed\n",
		"  docker pull busybox && docker tag busybox 127.0.0.1:5000/ann/busybox\n",
		"  docker push 127.0.0.1:5000/ann/busybox")
	log.Fatal(server.ListenAndServe())
}

// newHandler returns the program with a registry at /v2/.
func newHandler(ctx context.Context, a *app) (http.Handler, error) {
	store, err := storage.New(ctx, memory.New(nil), nil)
	if err != nil {
		return nil, err
	}
	go store.CollectEvery(ctx, nil)
	logins, err := token.New(store, keys{a}, namespaces{}, nil)
	if err != nil {
		return nil, err
	}
	reg, err := registry.New(store, &registry.Options{Authenticator: logins, Authorizer: logins})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/v2/", logins.Handler(reg))
	mux.HandleFunc("POST /login", a.login)
	mux.HandleFunc("POST /key", a.newKey)
	return mux, nil
}
