// Package oidc lets CI jobs and other programs log in with the ID token that their platform issues,
// instead of a secret that somebody must store and rotate.
//
// A file describes the platform and maps its tokens to identities:
//
//	name: github
//	issuer: https://token.actions.githubusercontent.com
//	audience: registry.example
//	rules:
//	  - name: release
//	    claims:
//	      repository: acme/app
//	      workflow_ref: acme/app/.github/workflows/release.yml@refs/heads/main
//	      event_name: [push, workflow_dispatch]
//	    identity: "{repository}"
//	    groups: [releasers]
//
// The job sends its token as the password, with any user name:
//
//	docker login --username oidc --password-stdin registry.example
//
// The job is then "github:acme/app" in the group "releasers". An Authorizer decides what it may do,
// for example by a list of rules (package rules):
//
//	rules:
//	  - {who: {group: releasers}, repositories: "app/**", actions: [pull, push]}
//
// The folder testdata of this package has configurations for GitHub Actions, GitLab, Kubernetes,
// Google Cloud and Azure. A test loads each and checks it with the claims that the platform
// documents.
//
// # What to call
//
//   - [Open] reads files, one for each platform, and follows their changes while the registry runs.
//   - [New] takes providers as Go values. [Load] and [Parse] read one from YAML.
//
// Pass the result to package token as the Authenticator, or to package chain together with others.
// The order in the chain does not affect the result, because this Authenticator ignores a password
// that is not a JWT of one of the issuers. Put it first, because it is fast.
//
// A program can also send its token as a Bearer token, but only to a registry without package token:
// package token accepts no other JWTs than its own as Bearer tokens.
//
// # The fields of a file
//
//   - name is the prefix of the names of all identities of the file. It has lower-case letters,
//     digits and hyphens.
//   - issuer is the URL of the issuer, exactly as tokens have it in the claim iss.
//   - audience is the value that the claim aud must contain. Choose a value that only this registry
//     uses, such as its host, because a token for another service must not be a login here.
//   - otherAudiences are further values that aud may contain. A token for any other audience is
//     refused, because the service with that audience could use the token here. Default: none.
//   - parties are the permitted values of the claim azp. Default: azp is not checked, because Google
//     and Azure set it to the caller.
//   - jwks is the URL of the keys. Default: the one in the discovery document of the issuer.
//   - keyFiles are files with the keys, PEM or JWKS, for an issuer that the registry cannot reach.
//     Relative paths begin at the folder of the file. Key files are read at start only.
//   - algorithms are the permitted algorithms of signatures. Default: RS256, ES256, EdDSA.
//   - leeway is the permitted difference between the clocks, such as 30s. Default: 1m.
//   - maxAge is the maximum age of a token by its claim iat. Default: only exp counts.
//   - rules map tokens to identities. The first rule that matches decides. A token that no rule
//     matches is refused.
//
// A rule has these fields:
//
//   - name is for the audit.
//   - claims are patterns of claims. All claims must match.
//   - identity is the name of the caller after the prefix "NAME:". Default: "{sub}".
//   - robot is the name of a robot instead, such as acme+deploy. With accounts.Federate, the caller
//     is this robot and has its grants. The rule must then have neither identity nor groups.
//   - groups are the groups of the caller.
//   - keep are claims that the identity keeps, for rules with "claim" of package rules, and for the
//     audit.
//
// # Claims
//
// A pattern has the syntax of package rules: "*" does not match a slash, "**" does. A claim may have
// several patterns, of which one must match. A pattern that begins with "!" is an exception. Numbers
// and booleans are matched as JSON writes them. A list matches if one of its elements does. A
// missing claim matches nothing.
//
// A field of an object is a claim with a path: kubernetes.io/namespace is the field "namespace" of
// the claim "kubernetes.io". A token in which a name occurs twice is refused.
//
// This package ignores claims whose names begin with "registrykit.io/". Only the registry itself
// gives such claims to an identity.
//
// GitHub, gitlab.com and Google issue tokens for any audience to everybody. A rule for one of them must
// name an owner, such as repository: "acme/*". Otherwise Open, New, Load and Parse return an error:
// such a rule would accept the jobs of strangers.
//
// # Names from claims
//
// In identity and groups, "{repository}" is replaced by the value of the claim, literally: braces in
// the value have no meaning. A login is refused if a value is empty, has characters that cannot be
// printed, or contains the text that follows it in the template. So different claims never make the
// same name: with "{project}:{ref}", the value of project must not contain ":". A name has at most
// 255 bytes.
//
// A login is refused if a claim that identity needs is missing. A group is left out if a claim that
// the group needs is missing. A claim that is a list makes one group of each element. A group with
// claims must begin with a text, as in "azure:{roles}", so that no token can name any group.
//
// Because of "NAME:", no identity has the name of a user of another Authenticator: such names have
// no colon. The exception is robot, which a rule names literally.
//
// # What is checked
//
//   - The signature, by keys of this issuer only and with the permitted algorithms, which never
//     include "none" or algorithms with a shared secret. Keys in the header of a token are ignored.
//   - iss and aud, and azp if parties are configured.
//   - exp, which is required; nbf and iat, if the token has them; the age, if maxAge is configured.
//
// The holder of a token can use it until it expires, so platforms issue tokens that are valid for
// minutes. [Authenticator.Renew] fails, so the token endpoint issues no refresh token for such a login.
//
// # If the issuer does not respond
//
// The registry starts even if the issuer does not respond. It reads the keys when the first token of
// the issuer arrives, and again when the issuer rotates them. While the keys cannot be read, known keys
// stay in use for a day. A token with an unknown key then gets 503 with Retry-After
// ([auth.UnavailableError]), and not 401: clients such as crane repeat the request, and the log of the
// job reports an unavailable service, and not wrong permissions. All other logins work.
//
// After a token with an unknown key, the keys are not read again for ten seconds. A token with a new
// key gets 401 during that time.
//
// # When changes take effect
//
// Open checks a file at most once a second, when a token of its issuer comes. New rules also count
// for tokens that were accepted before. Tokens of the token endpoint keep their identity until they
// expire; see token.Options.Lifetime. If the new file is invalid or missing, the previous content
// stays in force and [Options].Error is called once. A change of name, issuer, jwks, keyFiles or
// algorithms needs a restart.
//
// # The audit
//
// The error of a refused login has the reason: which claim, which audience, which times. The claim
// [RuleClaim] of an accepted login names the rule. Neither contains the token.
//
// # Cost
//
// The Authenticator remembers up to 10,000 accepted tokens, by their SHA-256. A login with such a
// token takes microseconds, because its signature is not verified again. The Authenticator still
// checks that the issuer has not removed the key.
package oidc
