// Package registry puts a complete container registry (OCI distribution specification, Docker
// Registry HTTP API V2) inside a Go program.
//
// A [Backend] is what a registry can do; package storage has the standard one, Store, over a
// directory, memory or anything else that implements its Driver. A [Registry] serves a Backend as
// an [http.Handler]:
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
//   - storage/drivertest: the test kit for drivers
//   - filter: Backends that change what another one does: read-only, under a prefix and the like
//   - client: a Backend that is another registry, over HTTP
//   - middleware: handlers that protect a registry from web pages, or open it to some: host names, origins, CORS
//   - certfile: a TLS certificate that is renewed without a restart
//   - registrytest: a registry for tests, in one line, and the test kit for Backends
//   - examples: programs to begin with
//
// # Layers
//
// HTTP is a codec over Backend: a request is parsed into one [Op], authorised once, decoded into
// one call of the Backend (an upload takes two or three), and its result or [Error] is written in
// one place. Policy sits below HTTP: what [New] is given as [Options] holds for Registry.Backend as
// well. [Intercept] runs a function around every operation of any Backend.
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
// Mount a Registry so that it gets paths as the client sent them. [http.ServeMux] answers paths
// with "//" or ".." by a redirect of its own; where the answer matters, route by prefix before the
// mux, as examples/server does.
//
// A server in front of untrusted clients sets http.Server.ReadHeaderTimeout, IdleTimeout, and
// MaxHeaderBytes to what a token request for hundreds of repositories needs: 128 KiB. It sets
// DisableGeneralOptionsHandler, because net/http answers "OPTIONS *" itself, without any timeout.
// ReadTimeout and WriteTimeout stay zero, because a layer may take hours: Options.BodyTimeout and
// Options.MinRate end request bodies and responses that make too little progress. The host's own
// handlers, on the same server, set write deadlines by [http.ResponseController].
//
// A server that speaks HTTP/2, over TLS or by http.Server.Protocols, also sets
//
//	HTTP2: &http.HTTP2Config{WriteByteTimeout: 10 * time.Minute}
//
// Over HTTP/2 the registry ends the streams that a client does not read. WriteByteTimeout ends the
// connection if the client reads nothing from it at all. It must be longer than a client at
// Options.MinRate takes to read what operating systems buffer: 10 minutes suits the defaults. Over
// HTTP/1.1 it has no effect and is not needed, as the registry ends the connection itself.
package registry
