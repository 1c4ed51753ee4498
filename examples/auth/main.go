// Auth shows a registry with logins, access rules and TLS, on a directory:
//
//	htpasswd -cB users ann
//	go run ./examples/auth -htpasswd users -rules rules.yaml -tls-cert cert.pem -tls-key key.pem
//	docker login -u ann 127.0.0.1:5000
//
// docs/access.md describes the rules. All four files may be changed while the program runs.
package main

import (
	"context"
	"flag"
	"log"
	"log/slog"
	"net/http"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth/htpasswd"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/certfile"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:5000", "Listen on this `address`.")
	folder := flag.String("storage", "./registry-data", "Store everything in this `directory`.")
	passwords := flag.String("htpasswd", "users", "Read users and bcrypt hashes of their passwords from this `file`.")
	policy := flag.String("rules", "rules.yaml", "Read access rules from this YAML `file`.")
	cert := flag.String("tls-cert", "cert.pem", "Read the TLS certificate from this PEM `file`.")
	key := flag.String("tls-key", "key.pem", "Read the key of the certificate from this PEM `file`.")
	flag.Parse()
	ctx := context.Background()
	driver, err := disk.New(*folder, nil)
	if err != nil {
		log.Fatal(err)
	}
	store, err := storage.New(ctx, driver, nil)
	if err != nil {
		log.Fatal(err)
	}
	go store.CollectEvery(ctx, nil)
	handler, err := newHandler(store, *passwords, *policy)
	if err != nil {
		log.Fatal(err)
	}
	renewed, err := certfile.New(*cert, *key, &certfile.Options{Error: func(_ context.Context, err error) {
		slog.Error("the certificate cannot be renewed; the old one stays in use", "error", err)
	}})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr: *addr, TLSConfig: renewed.TLSConfig(), Handler: handler,
		ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 128 << 10,
		DisableGeneralOptionsHandler: true,
		HTTP2:                        &http.HTTP2Config{WriteByteTimeout: 10 * time.Minute},
	}
	log.Printf("A registry at https://%[1]s. Try:\n"+
		"  docker login %[1]s\n"+
		"  docker pull busybox && docker tag busybox %[1]s/busybox && docker push %[1]s/busybox\n"+
		"  docker pull %[1]s/busybox", *addr)
	log.Fatal(server.ListenAndServeTLS("", ""))
}

// newHandler returns the registry and its token endpoint.
func newHandler(store *storage.Store, passwords, policy string) (http.Handler, error) {
	report := func(_ context.Context, err error) {
		slog.Error("a changed file is invalid; the old one stays in use", "error", err)
	}
	users, err := htpasswd.New(passwords, &htpasswd.Options{Error: report})
	if err != nil {
		return nil, err
	}
	access, err := rules.Load(policy, &rules.Options{Error: report})
	if err != nil {
		return nil, err
	}
	logins, err := token.New(store, users, access, nil)
	if err != nil {
		return nil, err
	}
	reg, err := registry.New(store, &registry.Options{Authenticator: logins, Authorizer: logins})
	if err != nil {
		return nil, err
	}
	return logins.Handler(reg), nil
}
