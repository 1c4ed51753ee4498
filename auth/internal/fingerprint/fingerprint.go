// Package fingerprint detects that a password has changed since a login, for Authenticators that implement
// auth.Renewer. The identity of a login has a [Claim] with the fingerprint of the stored hash of the password. Tokens
// contain this claim and others can read them, so a fingerprint must not help to guess a password.
package fingerprint

import (
	"crypto/sha256"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/secretvalue"
)

// Claim is the name of the claim.
const Claim = "registrykit.io/password"

// Reserved is the prefix of the names of claims that only packages of this module may set. A package that accepts
// tokens of other issuers removes claims with this prefix: otherwise an issuer could name any account.
const Reserved = "registrykit.io/"

// Of returns the fingerprint of a salted hash of a password, or of a long random secret. It has 16 letters and digits.
// The parts must not contain NUL.
func Of(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return secretvalue.Encode(sum[:10])
}

// Same reports whether an identity has this fingerprint.
func Same(identity auth.Identity, fingerprint string) bool {
	had, _ := identity.Claims[Claim].(string)
	return had == fingerprint && had != ""
}
