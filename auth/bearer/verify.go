package bearer

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/fingerprint"
	"github.com/registrykit/registry/auth/internal/jwks"
	"github.com/registrykit/registry/internal/lru"
)

const (
	// maxVerified is the maximum number of verified tokens that a Verifier remembers. A token of more than heavy bytes
	// counts as several, so that the memory is bounded, too.
	maxVerified = 20_000
	heavy       = 2 << 10
	// maxName is the maximum length of a name or a group, in bytes.
	maxName = 255
	// tokenClaim is the claim of an identity that holds the *verified of its token. Only this package can create
	// a *verified, so that no other source of claims can forge one.
	tokenClaim = auth.ScopesClaim
)

// verified is the content of a token whose signature and claims have been verified.
type verified struct {
	identity auth.Identity
	permits  permits
	signer   jwks.Thumbprint
	expires  time.Time // with the leeway
}

// cache holds verified tokens by the SHA-256 of the token, so that it does not hold the tokens.
type cache = lru.Cache[[sha256.Size]byte, *verified]

func newCache() *cache { return lru.New[[sha256.Size]byte, *verified](maxVerified) }

// tokenOf returns the token of an identity that a Verifier has returned, or nil.
func tokenOf(identity auth.Identity) *verified {
	t, _ := identity.Claims[tokenClaim].(*verified)
	return t
}

// verify returns the content of a token.
//
// Errors: auth.ErrCredentials, *auth.UnavailableError.
func (v *Verifier) verify(ctx context.Context, token string) (*verified, error) {
	if len(token) > MaxToken {
		return nil, fmt.Errorf("%w: the token has more than %d bytes", auth.ErrCredentials, MaxToken)
	}
	hash := sha256.Sum256([]byte(token))
	if t, ok := v.verified.Get(hash); ok {
		if !time.Now().Before(t.expires) {
			return nil, fmt.Errorf("%w: the token has expired", auth.ErrCredentials)
		}
		known, err := v.keys.Has(ctx, t.signer)
		switch {
		case err != nil:
			return nil, &auth.UnavailableError{RetryAfter: jwks.DefaultMinInterval, Err: err}
		case known:
			return t, nil
		}
		v.verified.Remove(hash) // the issuer has removed the key
	}
	payload, signer, err := v.keys.Verify(ctx, token)
	switch {
	case errors.Is(err, jwks.ErrSignature):
		return nil, fmt.Errorf("%w: %w", auth.ErrCredentials, err)
	case err != nil:
		return nil, &auth.UnavailableError{RetryAfter: jwks.DefaultMinInterval, Err: err}
	}
	t, err := v.read(payload, time.Now())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", auth.ErrCredentials, err)
	}
	t.signer = signer
	v.verified.Add(hash, t, 1+len(token)/heavy)
	return t, nil
}

// read checks the claims of a token whose signature is valid.
func (v *Verifier) read(payload []byte, now time.Time) (*verified, error) {
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil { // package jwks has refused duplicate keys
		return nil, err
	}
	if issuer, _ := claims["iss"].(string); issuer != v.opts.Issuer {
		return nil, errors.New("the token is of another issuer")
	}
	if !forAudience(claims["aud"], v.opts.Service) {
		return nil, errors.New("the token is for another audience")
	}
	expires, err := v.checkTimes(claims, now)
	if err != nil {
		return nil, err
	}
	t := &verified{expires: expires}
	if v.opts.Map == nil {
		t.identity, t.permits, err = fromAccess(claims, v.opts.Rules != nil)
	} else {
		var accesses []auth.Access
		if t.identity, accesses, err = v.opts.Map(claims); err == nil {
			t.permits, err = newPermits(accesses)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := checkNames(t.identity); err != nil {
		return nil, err
	}
	kept := make(map[string]any, len(t.identity.Claims)+1)
	maps.Copy(kept, t.identity.Claims)
	maps.DeleteFunc(kept, func(name string, _ any) bool { return strings.HasPrefix(name, fingerprint.Reserved) })
	kept[tokenClaim] = t
	t.identity.Claims = kept
	return t, nil
}

// forAudience reports whether the claim aud, a string or a list of strings, has a name.
func forAudience(aud any, name string) bool {
	switch aud := aud.(type) {
	case string:
		return aud == name
	case []any:
		found := false
		for _, one := range aud {
			s, ok := one.(string)
			if !ok {
				return false
			}
			found = found || s == name
		}
		return found
	}
	return false
}

// checkTimes checks exp, which is required, nbf and iat. It returns when the token expires, with the leeway.
func (v *Verifier) checkTimes(claims map[string]any, now time.Time) (time.Time, error) {
	exp, ok, err := numericDate(claims["exp"])
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("exp: %w", err)
	case !ok:
		return time.Time{}, errors.New("exp is missing")
	}
	expires := exp.Add(v.opts.Leeway)
	if !now.Before(expires) {
		return time.Time{}, errors.New("the token has expired")
	}
	for _, name := range []string{"nbf", "iat"} {
		at, ok, err := numericDate(claims[name])
		switch {
		case err != nil:
			return time.Time{}, fmt.Errorf("%s: %w", name, err)
		case ok && now.Before(at.Add(-v.opts.Leeway)):
			return time.Time{}, fmt.Errorf("%s is in the future", name)
		}
	}
	return expires, nil
}

// maxDate is the last second of the year 9999.
const maxDate = 253402300799

// numericDate returns the time in a claim (RFC 7519, section 2), and whether there is one.
func numericDate(claim any) (time.Time, bool, error) {
	if claim == nil {
		return time.Time{}, false, nil
	}
	seconds, ok := claim.(float64)
	if !ok || seconds < 0 || seconds > maxDate {
		return time.Time{}, false, errors.New("it is not a time")
	}
	whole := int64(seconds)
	return time.Unix(whole, int64((seconds-float64(whole))*1e9)), true, nil
}

// checkNames returns an error for a name or a group that would be unclear in a log.
func checkNames(identity auth.Identity) error {
	for _, name := range append([]string{identity.Name}, identity.Groups...) {
		if len(name) > maxName || strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }) {
			return errors.New("a name is too long or not printable")
		}
	}
	return nil
}
