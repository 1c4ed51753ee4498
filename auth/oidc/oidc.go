package oidc

import (
	"context"
	"net/http"
	"time"
)

// RuleClaim is the claim of an identity of this package that names the rule that matched, such as
// "github: releases", for the audit.
const RuleClaim = "oidc/rule"

const (
	// DefaultLeeway is the default of Provider.Leeway.
	DefaultLeeway = time.Minute
	// MaxSize is the maximum size of a file, in bytes.
	MaxSize = 1 << 20
)

// Provider is an issuer of ID tokens and the rules for them. [Parse] and [Load] read it from YAML.
type Provider struct {
	// Name is the prefix of the names of identities, such as "github" in "github:acme/app". It has at
	// most 32 lower-case letters, digits and hyphens. Required.
	Name string
	// Issuer is the URL of the issuer, exactly as the claim iss of tokens has it. Required.
	Issuer string
	// Audience is what the claim aud of tokens must contain, such as "registry.example". Required.
	Audience string
	// OtherAudiences are further values that aud may contain besides Audience. A token with any
	// other one is refused, because that service could use the token here. Default: none.
	OtherAudiences []string
	// Parties are the values that the claim azp may have. Default: azp is not checked.
	Parties []string
	// JWKS is the URL of the keys. Default: the one in the discovery document of the issuer.
	JWKS string
	// KeyFiles are files with the keys, PEM or JWKS, if the registry cannot reach the issuer. They
	// are read once. JWKS must then be empty. Default: none.
	KeyFiles []string
	// Algorithms are the permitted algorithms of signatures. Default: RS256, ES256, EdDSA.
	Algorithms []string
	// Leeway is the permitted difference between the clocks. Default: DefaultLeeway, one minute.
	// Negative: none.
	Leeway time.Duration
	// MaxAge is the maximum age of a token by its claim iat. Default: none but exp.
	MaxAge time.Duration
	// Rules map tokens to identities. The first rule that matches decides. A token that no rule matches
	// is refused. At least one rule is required.
	Rules []Rule
}

// Rule maps a token whose claims match to an identity.
type Rule struct {
	// Name is for the audit. Default: "rule N", where the first rule is 0.
	Name string
	// Claims are patterns of claims, by the name of the claim, in the syntax of package rules. All
	// claims must match; for each, one of its patterns suffices. At least one claim is required.
	Claims map[string][]string
	// Identity is the name after the prefix "PROVIDER:". It may contain claims, such as "{repository}".
	// Default: "{sub}".
	Identity string
	// Robot is the name of a robot, such as "acme+deploy", instead of Identity; see accounts.Federate.
	Robot string
	// Groups are the groups of the identity. They may contain claims, as in Identity. Default: none.
	Groups []string
	// Keep are the claims that the identity gets, for rules about claims. Default: none.
	Keep []string
}

// Options are the options of [New] and [Open]. nil means the zero Options.
type Options struct {
	// Client sends the requests for keys. Default: one with a timeout of 10 seconds.
	Client *http.Client
	// Realm is the realm of the challenge. It must be printable ASCII. Default: "registry".
	Realm string
	// Error receives the reason why a changed file is not used, once for each change. The previous
	// content stays in force. ctx is that of the request that noticed the change. Default: none.
	Error func(ctx context.Context, err error)
}
