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
//   - [Service.Handler] (or [Service.ServeHTTP]) is the endpoint that issues tokens, by GET and by
//     the POST of OAuth 2. It must be reachable by clients, or they cannot log in.
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
// Requests without a JWT as their Bearer token go to the Authenticator that New was given, so
// passwords also work without the endpoint. If the Authorizer allows anonymous callers nothing at
// all, clients need no tokens: [Service.Challenge] then asks for what that Authenticator accepts,
// such as passwords by Basic, and clients fetch no tokens. To use tokens in this case too, set
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
// allowed there. Anonymous callers get tokens without a name.
//
// A token has at most 7 KiB, so that it fits into the headers that clients, proxies and servers
// accept. Some clients ask for every repository that they have ever used. Of the repositories in
// one request, the last 512 count, or the last 32 of a caller without a name. If their names do not
// fit, the token contains a short hash of each instead; a verifier that asks no Authorizer must not
// accept these. If the hashes do not fit either, the first ones are left out. A request to a
// repository that was left out gets 401, and the client asks again with that repository at the end.
// Name and claims are never shortened, and groups are left out only if the Authorizer reads them
// itself, as that of package accounts does. If they alone do not fit, the request for a token gets
// 400.
//
// # Refresh tokens
//
// With [Options].Refresh, a client that asks for a refresh token at the login gets one, and docker
// stores it instead of the password. It is 83 characters long, begins with "rkf_" and ends with a
// checksum. The storage has only its SHA-256, in one object for each token.
//
//	refresh, err := token.NewRefreshTokens(driver, nil)
//	tokens, err := token.New(store, users, rules, &token.Options{Refresh: refresh})
//	go refresh.Run(ctx) // deletes expired tokens
//
// A refresh token is issued only if the Authenticator is an [auth.Renewer] and renews the caller.
// Other callers, such as a CI job with an ID token, log in without one. Each use renews the caller
// again, so a refresh token is never valid for longer than its login. It expires when it is not used for
// [RefreshOptions].Idle, 90 days by default. The methods of [RefreshTokens] and its owner (RFC 7009) can
// revoke it. The scopes may differ at each use. The refresh token stays the same, because clients do not
// store a new one.
//
// # Other processes
//
// The endpoint and the registry can be in different processes, in one of two ways:
//
//   - Both call New, with Stores on the same storage and the same Options.Service and Options.Keys.
//     The registry sets Options.Realm to the URL of the endpoint and Options.Always, and its
//     Authenticator need not know the users.
//   - The registry uses package auth/bearer with the public keys, which the endpoint serves at
//     Options.Path + "/keys". It shares nothing with the endpoint.
//
// # Cost
//
// Without what the Authenticator and the Authorizer cost, an access token costs no request to the
// storage, and neither does its verification. The shared secrets are read once a minute. A refresh
// costs one read, and once a day a write. A login that gets a refresh token costs a list of the tokens
// of its subject and a write.
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
//   - Name, groups and claims are those of the login or refresh. So leaving a group or changing a
//     password takes effect when the token expires: at most Options.Lifetime and a minute later.
//   - The same is true of disabling or removing a user, unless the Authorizer looks up the user. The
//     one of package auth/accounts does: tokens of a disabled or removed user, and tokens for a
//     revoked secret, stop at once in the process that makes the change, and within
//     accounts.Options.Refresh, 10 seconds by default, in all others.
//   - A refresh token of such a user, or after such a change, is refused as soon as the Authenticator
//     knows of the change. All processes refuse a revoked refresh token at once. Access tokens that
//     were issued before remain valid until they expire.
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
// The endpoint gives the same response to an unknown name and a wrong password, and to a refresh
// token that is unknown, expired or revoked, or whose user is disabled. Options.Audit tells them
// apart.
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
