// Package token is Docker's token protocol: clients that are asked for a Bearer token fetch one,
// with a password or without, from an endpoint, and then bring it along. It is how a registry lets
// anonymous callers pull and others log in: docker learns that there is a login only from a 401 of
// /v2/, and with Basic it never asks for anything without a password.
//
// [New] is the whole of it, in front of any [auth.Authenticator] and any [auth.Authorizer]. What it
// returns is the endpoint and the two for [github.com/registrykit/registry.Options]:
//
//	tokens, err := token.New(store, users, rules, nil)
//	reg, err := registry.New(store, &registry.Options{Authenticator: tokens, Authorizer: tokens})
//	mux.Handle("/v2/", tokens.Handler(reg))
//
// If nobody may do anything without credentials, [Service.Challenge] asks for those directly, and
// tokens are not needed.
//
// # What a token is
//
// A JWT of a few minutes, signed by Ed25519 with a key that all replicas make from a secret in
// their storage. It says who the caller is and which scopes it is for: those that were asked for
// and that the Authorizer allows. Clients do not look into it. A token has at most 7 KiB, which
// fits the limits for headers of clients, proxies and servers. If the names of the repositories
// would not fit, the token has hashes of them; some clients ask for every repository that they have
// touched. A token is for the last 512 repositories of a request.
//
// Scopes only narrow. A request that comes with a token needs a scope of the token *and* the
// Authorizer's word at that moment, with the tag in question: scopes do not know tags, so a token
// for pushes cannot reach a tag that a rule protects, and what a rule forbids is forbidden at once,
// not when the token has expired. Who the bearer is, with groups and claims, is what it was at the
// login: who is removed, has a new password or leaves a group keeps what the rules give to the name
// and groups until the token expires. Docker has no word for overwriting; the scope push covers it
// as far as the Authorizer allows it.
//
// # Safety
//
// The algorithm is fixed and keys are pinned: a key in the header of a token (jwk, x5c, jku) is
// never looked at. Issuer, audience, exp, nbf and iat are demanded and checked; the clocks of
// replicas may be up to a minute apart. Tokens that have been verified are remembered by their
// SHA-256, in bounded number, until they expire or their key is removed. The address of the
// endpoint that clients are told is https except on loopback, see [Options].ExternalURL and
// [Options].PlainHTTP.
package token
