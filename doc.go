// Package registry puts a complete container registry (OCI distribution specification, Docker
// Registry HTTP API V2) inside a Go program.
//
// # First steps
//
// Open a driver, put a store on it, and serve the store:
//
//	driver, err := disk.New("./registry-data", nil) // where the bytes go
//	store, err := storage.New(ctx, driver, nil)     // the standard Backend
//	reg, err := registry.New(store, nil)            // HTTP, authorisation, limits
//	mux.Handle("/v2/", reg)
//	go store.CollectEvery(ctx, nil)                 // frees the space of unreferenced content
//	server := &http.Server{
//		Handler: mux, ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
//		DisableGeneralOptionsHandler: true,
//	}
//
// Without CollectEvery, no space is ever freed: a delete removes names, and garbage collection
// removes the content that nothing references any more. It runs every 24 hours by default, beside
// pushes and pulls.
//
// Then, as needed:
//
//   - Restrict access: set Options.Authenticator and Options.Authorizer. Without an Authorizer, every
//     caller may do everything. Packages auth/htpasswd and auth/rules have the usual ones.
//   - Push, pull or delete from Go: call [Registry.Backend] with an identity, and [PushBlob].
//   - React to a push or pull: set Options.Sink. With package notification/outbox as the Sink, no
//     event is lost.
//   - Refuse or observe operations: set Options.Interceptors, for example with package hook, or wrap
//     the Backend with package filter before New.
//   - Return an error of your own to clients: make it with [NewError].
//   - Manage the registry over HTTP: mount package api. Package auth/accounts has its users.
//   - Write a Backend: embed [Unimplemented] and use [CheckName], [CheckRef] and the like. Package
//     registrytest has a test kit for it.
//
// # Packages
//
//   - reference: repository names, tags and digests
//   - auth: the interfaces by which a registry identifies callers and asks for their permissions
//   - auth/htpasswd, auth/static, auth/clientcert, auth/chain: authentication by a password file, a
//     map, a client certificate, or several of them
//   - auth/rules: authorisation by rules in YAML or Go
//   - auth/token: Docker's token protocol, for anonymous pulls beside logins
//   - auth/accounts: users, organisations, teams, robots and their secrets, in the storage
//   - auth/oidc, auth/bearer: logins of CI jobs by ID tokens; tokens of other services
//   - auth/signin, auth/session: sign-in of people, also at an OpenID provider, and their sessions
//   - api, api/client, api/types: the management API, its client in Go, and its JSON objects
//   - audit, search: a log of changes and refusals; repositories and accounts by words
//   - notification: the events of a registry; the packages below it store, select, format and send
//     them
//   - hook: functions before and after operations
//   - jobs: background jobs, on one replica at a time
//   - storage: Store, the standard Backend
//   - storage/driver: the interface of the storages below a Store
//   - storage/disk, storage/memory: drivers that need only the standard library
//   - storage/gocloud: a driver on any bucket of gocloud.dev/blob
//   - storage/driver/drivertest: the test kit for drivers
//   - mirror, replicate: pull-through of other registries; copies between any two Backends
//   - retention, quota, usage, scrub: rules for old images, limits, figures, and verification
//   - importer, layout: the data of other registries; OCI image layouts as a Backend
//   - image, pulltime: facts of images; when images were last pulled
//   - filter: Backends that change another Backend: read-only, under a prefix and the like
//   - client, client/login: a Backend that is another registry, over HTTP; its credentials
//   - middleware: handlers that protect a registry from web pages, or open it to some of them: host
//     names, origins, CORS
//   - certfile: a TLS certificate that is renewed without a restart
//   - registrytest: a registry for tests, in one line, and the test kit for Backends
//   - examples: programs to start from
//
// # Layers
//
// A [Backend] is what a registry can do, apart from HTTP. A [Registry] is a codec over it: it
// parses a request into one [Op], authorises the Op once, decodes the request into one call of the
// Backend (two or three for an upload), and writes the result or the [Error] in one place. Policy
// sits below HTTP: the [Options] of New hold for [Registry.Backend] too. [Intercept] runs a
// function around every operation of any Backend.
//
// # Security
//
// Without Options.Authorizer every caller may do everything. On a loopback address the callers
// include every web page that a browser on the machine shows; middleware.LocalOnly refuses those.
//
// A blob is served only from a repository that has it. The storage keeps equal content once, but
// that gives nobody access to it. An upload belongs to the repository and identity that began it.
// URLs in manifests are stored and never fetched. Manifests must be JSON, and are served with the
// media type of their push and with X-Content-Type-Options: nosniff.
//
// Mount a Registry so that it receives paths as the client sent them. [http.ServeMux] redirects
// paths with "//" or ".." itself. To have the registry refuse them, route by prefix before the mux,
// as examples/server does.
//
// A server for untrusted clients sets these fields of [http.Server]:
//
//   - ReadHeaderTimeout and IdleTimeout.
//   - MaxHeaderBytes: 128 KiB, which a token request for hundreds of repositories needs.
//   - DisableGeneralOptionsHandler, because net/http answers "OPTIONS *" itself, without a timeout.
//   - HTTP2, if the server speaks HTTP/2, over TLS or by Protocols:
//     &http.HTTP2Config{WriteByteTimeout: 10 * time.Minute}
//
// It leaves ReadTimeout and WriteTimeout zero, because a layer may take hours. Options.BodyTimeout
// and Options.MinRate end requests and responses that make too little progress.
//
// Over HTTP/2 the registry ends the streams that a client does not read. WriteByteTimeout ends the
// connection of a client that reads nothing at all. It must be longer than a client at
// Options.MinRate takes to read what operating systems buffer: 10 minutes suits the defaults. Over
// HTTP/1.1 it has no effect, because the registry ends the connection itself.
//
// Other handlers on the same server set their own write deadlines by [http.ResponseController].
package registry
