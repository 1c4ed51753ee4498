// Package api is the management API of a registry: an [http.Handler] for everything that a registry does beside
// pushes and pulls. It manages users, organisations, teams, robots and tokens; shows repositories, tags, images and
// usage; restores what was deleted; plans and applies retention; creates webhooks; runs jobs; and reads the audit log.
//
//	manage, err := api.New(reg, &api.Options{Parts: api.Parts{Accounts: people, Jobs: runner}})
//	mux.Handle("/v2/", reg)
//	mux.Handle("/api/", http.StripPrefix("/api", manage))
//
// A part that the host does not use is nil in [Parts]. Its routes do not exist then, and the description does not
// contain them.
//
// # Description
//
// GET /v1/openapi.json returns an OpenAPI 3.1 description of exactly the routes that exist. Package api/client is a
// client in Go, and package api/types has the JSON objects of requests and responses.
//
// # Access
//
// The caller of a request is identified by Options.Authenticator or that of the registry. The Authorizer of the
// registry decides, with the words of package auth: a route asks for [auth.Access] values before it reads the body and
// before it looks anything up. So callers without access get the same response for existing and missing objects. Lists
// contain only what their caller may see. Each decision makes an audit record.
//
// # Requests and responses
//
// Bodies are JSON of at most 1 MiB; a plan of retention may have 256 MiB. Unknown and repeated
// fields are errors. A slash in the name of a repository is written once as %2F: /v1/repositories/acme%2Fapp.
//
// An object has an ETag. A PUT, PATCH or DELETE of an object that has an ETag must send it in If-Match, or
// "If-Match: *". It is refused with 428 without the header and with 412 if the object was changed meanwhile.
//
// A list has pages of at most 1000 elements, 100 by default; see the parameter limit. The Link header with rel="next"
// has the URL of the next page, and is absent from the last one.
//
// Errors are Problem Details (RFC 9457). Their type is "about:blank"; the member "code" is a word for programs.
package api
