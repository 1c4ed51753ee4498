// Package registry puts a complete container registry (OCI distribution specification, Docker Registry HTTP API V2) inside a Go
// program.
//
// A [Backend] is what a registry can do; package storage has the standard one, Store, over a directory, memory or anything else
// that implements its Driver. A [Registry] serves a Backend as an [http.Handler]:
//
//	driver, err := disk.New("./registry-data", nil)
//	store, err := storage.New(ctx, driver, nil)
//	reg, err := registry.New(store, nil)
//	mux.Handle("/v2/", reg)
//	server := &http.Server{
//		Handler: mux, ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
//		DisableGeneralOptionsHandler: true,
//	}
//
// and to Go code in the same process by [Registry.Backend].
//
// # Map
//
//   - reference: repository names, tags and digests
//   - auth: the interfaces by which a registry asks who a caller is and what they may do
//   - auth/htpasswd, auth/static, auth/clientcert, auth/chain: who a caller is, by a password file, a map, a client certificate, or several of them
//   - auth/rules: who may do what, in YAML or Go
//   - auth/token: Docker's token protocol, for anonymous pulls beside logins
//   - notification: what a registry says of what happened in it
//   - storage: Store, the standard Backend, and Driver, what it stands on
//   - storage/disk, storage/memory: drivers, with the standard library only
//   - storage/gocloud: a driver on any bucket of gocloud.dev/blob
//   - storage/storagetest: the test kit for drivers
//   - filter: Backends that change what another one does: read-only, under a prefix and the like
//   - client: a Backend that is another registry, over HTTP
//   - middleware: handlers that protect a registry from web pages, or open it to some: host names, origins, CORS
//   - certfile: a TLS certificate that is renewed without a restart
//   - registrytest: a registry for tests, in one line, and the test kit for Backends
//   - examples: programs to begin with
//
// # Layers
//
// HTTP is a codec over Backend: a request is parsed into one [Op], authorised once, decoded into one call of the Backend (an upload
// takes two or three), and its result or [Error] is written in one place. Policy sits below HTTP: what [New] is given as
// [Options] holds for Registry.Backend as well. [Intercept] runs a function around every operation of any Backend.
//
// # Security
//
// Without Options.Authorizer everybody may do everything, and on a loopback address that includes
// every web page that a browser on the machine shows: middleware.LocalOnly refuses those. A blob is
// served only from a repository that has it: that the storage keeps the same content once gives
// nobody access to it. Uploads belong to the repository and identity that began them. What clients
// send is never followed: URLs in manifests are stored, not fetched. Manifests are served with the
// media type they were pushed with, which must be JSON, and with X-Content-Type-Options: nosniff.
//
// Mount a Registry so that it gets paths as the client sent them. [http.ServeMux] answers paths with "//" or ".." by a redirect of its own; where
// the answer matters, route by prefix before the mux, as examples/server does.
//
// A server in front of untrusted clients sets http.Server.ReadHeaderTimeout and IdleTimeout, MaxHeaderBytes to what
// token requests for hundreds of repositories need (128 KiB), and DisableGeneralOptionsHandler, because net/http has no timeout for its own answer to "OPTIONS *". ReadTimeout and WriteTimeout stay
// zero, as layers take what time they take: Options.BodyTimeout and Options.MinRate end request bodies and responses that make too
// little progress. Over HTTP/2 they end streams. A client that stops to read the whole connection is ended by WriteByteTimeout in
// http.Server.HTTP2, which must be longer than a client at the minimum rate takes for what systems buffer: 10 minutes go with the
// defaults.
package registry
