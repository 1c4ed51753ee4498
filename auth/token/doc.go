// Package token implements Docker's token protocol in front of any [auth.Authenticator] and any
// [auth.Authorizer]. With it, anonymous callers can pull while others log in.
//
// docker learns only from a 401 of /v2/ that there is a login, and after a challenge for Basic it
// requests nothing without a password. So with Basic alone, anonymous pulls and logins exclude each
// other. With tokens, every client, with a password or without, fetches a token from an endpoint
// and sends it with each request.
//
// # What to call
//
// Call [New] once. The [Service] that it returns has three parts, and a registry needs all three:
//
//   - [Service.Handler] (or [Service.ServeHTTP]) is the endpoint that issues tokens. It must be
//     reachable by clients, or they cannot log in.
//   - [Service.Authenticate] and [Service.Challenge] verify tokens and ask clients to fetch one.
//     They are the Authenticator of [github.com/registrykit/registry.Options].
//   - [Service.Authorize] limits the bearer of a token to its scopes. It is the Authorizer of these
//     options. Without it, a token gives all the rights of its user.
//
// In code:
//
//	tokens, err := token.New(store, users, rules, nil)
//	reg, err := registry.New(store, &registry.Options{Authenticator: tokens, Authorizer: tokens})
//	mux.Handle("/v2/", tokens.Handler(reg))
//
// Requests without a Bearer token go to the Authenticator that New was given, so passwords also
// work without the endpoint. As long as the Authorizer allows anonymous callers nothing, tokens are
// not needed, and [Service.Challenge] asks for passwords directly; see [Options].Always.
//
// # What a token contains
//
// A token is a JWT, valid for a few minutes (see [Options].Lifetime) and signed by Ed25519. All
// replicas derive the key from a secret that they share in their storage. The token states who the
// caller is and which scopes the caller asked for and the Authorizer allowed.
//
// A token has at most 7 KiB, so that it fits into the headers that clients, proxies and servers
// accept. Some clients ask for every repository that they have ever used. A request for a token can
// therefore name many repositories: the last 512 count. If their names do not fit, the token
// contains hashes of them, and if these do not fit either, only the last ones.
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
//     leaving a group takes effect when the token expires.
//   - Removing the shared secret makes every token invalid within a minute; see [Options].Keys.
//
// # What is refused
//
// The signature algorithm is fixed, and only the keys of this registry count: a key in the header
// of a token (jwk, x5c, jku) is ignored. Issuer, audience, exp, nbf and iat are required and
// checked; the clocks of replicas may differ by up to a minute. A request gets 401 with a challenge
// if its token is invalid or expired, or if the scopes of the token do not cover the access. An
// access that the Authorizer denies gets 403, or 401 if the caller has no name.
//
// A [Service] remembers verified tokens by their SHA-256, up to a fixed number. It accepts a
// remembered token until the token expires or its key is removed.
//
// Clients send passwords to the endpoint. The URL that they are given is https except on loopback;
// see [Options].ExternalURL and [Options].PlainHTTP.
package token
