// Package basic implements the server side of Basic authentication (RFC 7617), for Authenticators
// that check passwords.
package basic

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/registrykit/registry/auth"
)

const (
	// MaxHeader is the maximum length of an Authorization header, in bytes.
	MaxHeader = 8 << 10
	// MaxName is the maximum length of a user name, in bytes.
	MaxName = 255
	// DefaultRealm is the realm if an Authenticator sets none.
	DefaultRealm = "registry"
)

// Login is a user name and a password.
type Login struct {
	User, Password string
}

// Parse returns the credentials in the Authorization header of a request, or nil if it has none. It
// reads nothing else of the request.
//
// Errors: auth.ErrCredentials if the header is not exactly one name and password by Basic. The
// error contains a reason and no part of the credentials.
func Parse(r *http.Request) (*Login, error) {
	values := r.Header["Authorization"]
	switch {
	case len(values) == 0:
		return nil, nil
	case len(values) > 1:
		return nil, refused("more than one Authorization header")
	case len(values[0]) > MaxHeader:
		return nil, refused("the Authorization header is too long")
	}
	scheme, encoded, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Basic") {
		return nil, refused("not Basic")
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(strings.Trim(encoded, " "))
	if err != nil || strings.ContainsAny(encoded, "\r\n") { // the decoder ignores these
		return nil, refused("malformed base64")
	}
	user, password, ok := strings.Cut(string(decoded), ":")
	switch {
	case !ok:
		return nil, refused("no colon")
	case !ValidName(user):
		return nil, refused("invalid user name")
	case strings.ContainsFunc(password, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return nil, refused("control characters in the password")
	}
	return &Login{user, password}, nil
}

func refused(reason string) error { return fmt.Errorf("%s: %w", reason, auth.ErrCredentials) }

// ValidName reports whether name is a valid user name: 1 to MaxName bytes of printable UTF-8,
// without spaces at its ends.
func ValidName(name string) bool {
	return name != "" && len(name) <= MaxName && utf8.ValidString(name) && strings.TrimSpace(name) == name &&
		!strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) })
}

// Challenge returns the value of the WWW-Authenticate header that asks for Basic. An empty realm
// means DefaultRealm. Challenge returns an error if realm is not printable ASCII.
func Challenge(realm string) (string, error) {
	if realm == "" {
		realm = DefaultRealm
	}
	if strings.ContainsFunc(realm, func(c rune) bool { return c < ' ' || c > '~' }) {
		return "", errors.New("option Realm must be printable ASCII")
	}
	return `Basic realm="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(realm) + `"`, nil
}
