package jwks

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4/json"
	"github.com/golang-jwt/jwt/v5"

	"github.com/registrykit/registry/internal/strictjson"
)

// MaxToken is the maximum length of a token, in bytes.
const MaxToken = 16 << 10

// algorithm verifies signatures with keys of one type.
type algorithm struct {
	method jwt.SigningMethod
	fits   func(crypto.PublicKey) bool
}

// algorithms are the algorithms that may be permitted. A key fits only the algorithms of its type and
// curve, so that an RSA key never serves as the secret of an HMAC.
//
// Package jwt verifies the signatures, and not go-jose, which also parses the keys and certificates in the
// header of a token: these must have no effect.
var algorithms = map[string]algorithm{
	"RS256": {jwt.SigningMethodRS256, isRSA},
	"RS384": {jwt.SigningMethodRS384, isRSA},
	"RS512": {jwt.SigningMethodRS512, isRSA},
	"PS256": {jwt.SigningMethodPS256, isRSA},
	"PS384": {jwt.SigningMethodPS384, isRSA},
	"PS512": {jwt.SigningMethodPS512, isRSA},
	"ES256": {jwt.SigningMethodES256, isECDSA(256)},
	"ES384": {jwt.SigningMethodES384, isECDSA(384)},
	"ES512": {jwt.SigningMethodES512, isECDSA(521)},
	"EdDSA": {jwt.SigningMethodEdDSA, isEd25519},
}

func isRSA(k crypto.PublicKey) bool {
	_, ok := k.(*rsa.PublicKey)
	return ok
}

func isEd25519(k crypto.PublicKey) bool {
	_, ok := k.(ed25519.PublicKey)
	return ok
}

func isECDSA(bits int) func(crypto.PublicKey) bool {
	return func(k crypto.PublicKey) bool {
		e, ok := k.(*ecdsa.PublicKey)
		return ok && e.Curve.Params().BitSize == bits
	}
}

// VerifySignature returns the payload of a JWT (RFC 7515, compact serialisation) if it is signed by one of the
// keys with one of the algorithms. Of the header, only alg and kid count: jwk, jku, x5c and x5u are ignored, and a
// token with "crit" is refused. It implements KeySet of github.com/coreos/go-oidc/v3/oidc.
//
// The payload is a JSON object in which no key occurs twice, at any depth, and no key differs from one of the
// registered claims in case only.
//
// Errors: ErrSignature; any other error if the keys cannot be read, or if the token names a key that is not known, and
// they cannot be read again.
func (s *Set) VerifySignature(ctx context.Context, token string) (payload []byte, err error) {
	payload, _, err = s.Verify(ctx, token)
	return payload, err
}

// Verify is VerifySignature, and also returns which key has signed the token.
//
// Errors: as VerifySignature.
func (s *Set) Verify(ctx context.Context, token string) (payload []byte, signer Thumbprint, err error) {
	t, err := s.parse(token)
	if err != nil {
		return nil, Thumbprint{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	k, err := s.get(ctx)
	if err != nil {
		return nil, Thumbprint{}, err
	}
	by, ok := t.signer(k)
	if !ok {
		if by, err = s.verifyNewer(ctx, t, k); err != nil {
			return nil, Thumbprint{}, err
		}
	}
	if err := checkPayload(t.payload); err != nil {
		return nil, Thumbprint{}, fmt.Errorf("%w: the payload: %w", ErrSignature, err)
	}
	return t.payload, by, nil
}

// verifyNewer looks for the key of a token that none of k has signed among keys that are read now.
//
// If they cannot be read, the answer depends on the kid: nothing is known about a key that is not in the set, but a
// wrong signature of a key that is in it remains wrong.
func (s *Set) verifyNewer(ctx context.Context, t *token, k *keys) (Thumbprint, error) {
	newer, err := s.newer(ctx, k)
	switch {
	case err != nil && !k.has(t.kid):
		return Thumbprint{}, fmt.Errorf("jwks: the key is unknown, and the keys cannot be read again: %w", err)
	case err == nil && newer != k:
		if by, ok := t.signer(newer); ok {
			return by, nil
		}
	}
	return Thumbprint{}, fmt.Errorf("%w: no key fits", ErrSignature)
}

// has reports whether there is a key with a kid.
func (k *keys) has(kid string) bool {
	return kid != "" && slices.ContainsFunc(k.list, func(one key) bool { return one.kid == kid })
}

// Has reports whether a key is still in the set, so that a caller who remembers verified tokens notices that
// the issuer has removed a key. It reads the keys again when they are too old.
//
// Errors: those of reading the keys.
func (s *Set) Has(ctx context.Context, id Thumbprint) (bool, error) {
	k, err := s.get(ctx)
	if err != nil {
		return false, err
	}
	return k.ids[id], nil
}

// token is a parsed JWT.
type token struct {
	kid       string
	alg       string
	algorithm algorithm
	signed    string // header and payload, encoded
	payload   []byte
	signature []byte
}

// strict decodes base64url without padding. It accepts one encoding of each content; line ends, which it
// ignores, are refused before.
var strict = base64.RawURLEncoding.Strict()

// parse parses a token without verifying it.
func (s *Set) parse(compact string) (*token, error) {
	if len(compact) > MaxToken {
		return nil, fmt.Errorf("the token has more than %d bytes", MaxToken)
	}
	dot := strings.LastIndexByte(compact, '.')
	if dot < 0 || strings.Count(compact, ".") != 2 || strings.ContainsAny(compact, "\r\n") {
		return nil, errors.New("the token is no JWT")
	}
	t := &token{signed: compact[:dot]}
	head, payload, _ := strings.Cut(t.signed, ".")
	header, err := strict.DecodeString(head)
	if err == nil {
		t.payload, err = strict.DecodeString(payload)
	}
	if err == nil {
		t.signature, err = strict.DecodeString(compact[dot+1:])
	}
	if err != nil {
		return nil, errors.New("the token is no JWT: invalid base64")
	}
	if err := t.parseHeader(header); err != nil {
		return nil, fmt.Errorf("the header: %w", err)
	}
	var ok bool
	if t.algorithm, ok = s.algorithms[t.alg]; !ok {
		return nil, errors.New("the algorithm is not permitted")
	}
	return t, nil
}

// parseHeader reads alg and kid.
func (t *token) parseHeader(header []byte) error {
	r, err := strictjson.NewReader(header)
	if err != nil {
		return err
	}
	ok, err := r.Object([]string{"alg", "kid", "crit"}, func(name string) (err error) {
		switch name {
		case "alg":
			t.alg, err = r.Text()
		case "kid":
			t.kid, err = r.Text()
		default:
			err = errors.New("no extension is supported")
		}
		return err
	})
	if err == nil && !ok {
		err = errors.New("it must be an object")
	}
	return err
}

// signer returns the key that has signed a token. Keys with the kid of the token are tried, and those without a
// kid. A token without a kid is tried with every key.
func (t *token) signer(k *keys) (Thumbprint, bool) {
	for _, one := range k.list {
		switch {
		case t.kid != "" && one.kid != "" && one.kid != t.kid, one.alg != "" && one.alg != t.alg,
			!t.algorithm.fits(one.public):
		case t.algorithm.method.Verify(t.signed, t.signature, one.public) == nil:
			return one.id, true
		}
	}
	return Thumbprint{}, false
}

// registered are the claims that decide whether a token is accepted.
var registered = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "access"}

// checkPayload returns an error for a payload that parsers may understand in different ways.
func checkPayload(payload []byte) error {
	r, err := strictjson.NewReader(payload)
	if err != nil {
		return err
	}
	ok, err := r.Object(registered, func(string) error {
		r.Skip()
		return nil
	})
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("it must be an object")
	}
	var all map[string]any // this JSON refuses duplicate keys at every depth
	return json.Unmarshal(payload, &all)
}
