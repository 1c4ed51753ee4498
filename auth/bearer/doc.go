// Package bearer accepts Bearer tokens of another service: a token server for the CNCF registry (such as docker_auth,
// GitLab or Harbor), package token in another process, or any other issuer of JWTs.
//
// # What to call
//
// Call [New] once. The [Verifier] that it returns is the Authenticator and the Authorizer of
// [github.com/registrykit/registry.Options], and a registry needs both:
//
//	v, err := bearer.New(bearer.Options{
//		Realm:    "https://auth.example/token",
//		Service:  "registry.example",
//		Issuer:   "auth.example",
//		KeyFiles: []string{"/etc/registry/auth.crt"},
//	})
//	reg, err := registry.New(store, &registry.Options{Authenticator: v, Authorizer: v})
//
// These are the four settings of "auth: token:" in the configuration of the CNCF registry: realm, service, issuer and
// rootcertbundle (here KeyFiles) or jwks.
//
// Clients without a token get a challenge with Realm, Service and the scope that they need. They fetch a token
// from that URL, and send it with each request. A request without a Bearer token is anonymous for this
// package, so that it can be combined with others by package chain.
//
// # What a token permits
//
// Docker's claim "access" lists repositories, and the catalog, with the actions that the token permits: pull, push,
// delete, or "*" for all. A Verifier without Options.Rules allows exactly these. The action push includes overwriting
// tags, because the claim has no action for that. With Options.Rules, an access must be allowed by the rules, which are
// asked first, and by the token. The rules see the name, the groups and the claims of the token.
//
// For issuers with other claims, [Options].Map returns the identity and the permissions.
//
// Claims whose names begin with "registrykit.io/" are left out, since packages of this module trust them.
//
// # What is refused
//
// A token is accepted only if all of the following conditions are met. Otherwise the response is 401 with a challenge,
// and only the audit contains the reason.
//
//   - It is signed by one of the keys of the issuer, with one of Options.Algorithms, which the type of the key must
//     fit. "none" and HMAC are never accepted. Keys and certificates in the header of the token (jwk,
//     jku, x5c, x5u) have no effect: an issuer that signs with the key of a certificate below a root, and sends the
//     chain, needs the certificate itself in KeyFiles. The kid only chooses among the keys of the issuer. Keys of
//     PEM files have no kid: they are tried with each token.
//   - iss is Options.Issuer, and aud is Options.Service or a list that contains it.
//   - exp is present and in the future; nbf and iat are missing or not in the future. Options.Leeway is
//     permitted on each side.
//   - It is at most 16 KiB long, no key of its JSON occurs twice, and it has no critical extension (crit).
//
// RSA keys have 2048 to 8192 bits.
//
// # Keys
//
// KeyFiles are read by New. A JWKS is read when the first token arrives, and again every hour, or more often if
// Cache-Control says so, and when a token is signed by an unknown key, at most every ten seconds. So an issuer can
// rotate its keys at any time. While the JWKS cannot be read, the keys that were read before stay in use
// for a day, and a token that names another key gets 503. So does every token if there are no keys at all.
//
// A Verifier remembers up to 20,000 verified tokens by their SHA-256, so that most requests need no verification of a
// signature. It accepts a remembered token until it expires or the issuer removes its key. An issuer
// cannot withdraw a single token: let them live for minutes only.
package bearer
