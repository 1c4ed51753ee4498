// Package token implements Docker's token protocol in front of any [auth.Authenticator] and any
// [auth.Authorizer]. With it, anonymous callers can pull while others log in.
//
// To find out whether a registry has a login, docker requests /v2/. A 401 means that it has one. If
// the 401 asks for Basic, docker sends no request without a password any more. So with Basic alone,
// anonymous pulls and logins exclude each other. With tokens, every client, with a password or
// without, fetches a token from an endpoint and sends it with each request.
//
// # What to call
//
// Call [New] once. The [Service] that it returns has three parts, and a registry needs all three:
//
//   - [Service.Handler] (or [Service.ServeHTTP]) is the endpoint that issues tokens. It must be
//     reachable by clients, or they cannot log in.
//   - [Service.Authenticate] and [Service.Challenge] verify tokens and ask clients to fetch one.
//     They are the Authenticator of [github.com/registrykit/registry.Options].
//   - [Service.Authorize] limits the bearer of a token to its scopes, and asks the Authorizer that
//     New was given. It is the Authorizer of these options. With the Authorizer that New was given
//     in its place, a token gives all the rights of its user. With none, every caller may do
//     everything.
//
// In code:
//
//	tokens, err := token.New(store, users, rules, nil)
//	reg, err := registry.New(store, &registry.Options{Authenticator: tokens, Authorizer: tokens})
//	mux.Handle("/v2/", tokens.Handler(reg))
//
// Requests without a Bearer token go to the Authenticator that New was given, so passwords also
// work without the endpoint. If the Authorizer allows anonymous callers nothing at all, clients
// need no tokens: [Service.Challenge] then asks for what that Authenticator accepts, such as
// passwords by Basic, and clients fetch no tokens. To use tokens in this case too, set
// [Options].Always.
//
// The scopes of a token are in the Claims of the [auth.Identity] that Authenticate returns. An
// Authenticator or Authorizer that wraps the Service must pass these Claims on. An identity without
// them has no limit by scopes.
//
// # What a token contains
//
// A token is a JWT, valid for a few minutes (see [Options].Lifetime) and signed by Ed25519. All
// replicas derive the key from a secret that they share in their storage. Anyone who can read that
// secret can forge tokens. The token states who the caller is and which scopes the caller asked for
// and the Authorizer allowed. A scope is a repository, or the catalog, with the actions that are
// allowed there. Anonymous callers get tokens without a name. There are no refresh tokens.
//
// A token has at most 7 KiB, so that it fits into the headers that clients, proxies and servers
// accept. Some clients ask for every repository that they have ever used. Of the repositories in
// one request, the last 512 in the query string count. If their names do not fit, the token
// contains a short hash of each instead. If the hashes do not fit either, the first ones are left
// out. A request to a repository that was left out gets 401, and the client asks again with that
// repository at the end. Name, groups and claims are never shortened: if they alone do not fit, the
// request for a token gets 400.
//
// # When changes take effect
//
// A request with a token needs two permissions: a scope of the token covers the access, and the
// Authorizer allows it at that moment. So a scope can only narrow what the Authorizer allows:
//
//   - A change of the rules takes effect at once, also for tokens that clients already have. If it
//     allows more, a client may have to fetch a new token; registry clients do so when they get a
//     401.
//   - Scopes contain no tags. The Authorizer is asked again with the tag, so a token for pushes
//     cannot change a tag that a rule protects.
//   - Scopes have no word for overwriting. The scope push covers it, if the Authorizer allows it.
//   - Name, groups and claims are those of the login. Removing a user, changing a password or
//     leaving a group takes effect when the token expires: at most Options.Lifetime and a minute
//     later.
//   - Removing the shared secret makes every token invalid within a minute; see [Options].Keys.
//
// # What is refused
//
// The signature algorithm is fixed, and only the keys of this registry count: a key in the header
// of a token (jwk, x5c, jku) is ignored. Issuer, audience, exp, nbf and iat are required and
// checked. The clocks of replicas may differ by up to a minute. A request to the registry is
// checked in this order:
//
//  1. An invalid or expired token gets 401, with a challenge.
//  2. An access that the Authorizer denies gets 403, or 401 if the caller has no name.
//  3. An access that the scopes of the token do not cover gets 401. The challenge names the scope
//     that is needed, so the client fetches another token.
//
// If the secrets cannot be read, the keys that were read before stay in use for ten minutes. Then
// requests with tokens fail with a status of 500 or more; requests with passwords do not need the
// keys.
//
// A [Service] remembers up to 20,000 verified tokens, by their SHA-256. It accepts a remembered
// token until the token expires or its key is removed.
//
// Clients send passwords to the endpoint. The URL that they are given is https except on loopback;
// see [Options].ExternalURL and [Options].PlainHTTP. The endpoint does not limit wrong passwords:
// the Authenticator does, by returning [auth.LimitError], which gets 429.
package token
