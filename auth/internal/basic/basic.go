// Package basic is Basic authentication (RFC 7617) as servers see it, for the Authenticators that
// know passwords.
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
	// MaxHeader is how many bytes an Authorization header has at most.
	MaxHeader = 8 << 10
	// MaxName is how many bytes the name of a user has at most.
	MaxName = 255
	// DefaultRealm is the realm of those who name none.
	DefaultRealm = "registry"
)

// Login is a name with the password that came with it.
type Login struct {
	User, Password string
}

// Parse returns what the Authorization header of a request says; nil if it has none. Nothing else
// of the request is looked at.
//
// Errors: auth.ErrCredentials, wrapped with a reason that has nothing of the credentials in it, for
// everything that is not the name and the password of somebody, once.
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
	if err != nil || strings.ContainsAny(encoded, "\r\n") { // which the decoder skips
		return nil, refused("malformed base64")
	}
	user, password, ok := strings.Cut(string(decoded), ":")
	switch {
	case !ok:
		return nil, refused("no colon")
	case !ValidName(user):
		return nil, refused("not the name of a user")
	case strings.ContainsFunc(password, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return nil, refused("control characters in the password")
	}
	return &Login{user, password}, nil
}

func refused(reason string) error { return fmt.Errorf("%s: %w", reason, auth.ErrCredentials) }

// ValidName reports whether a user can have the name: up to MaxName bytes of UTF-8, printable, and
// without spaces around it.
func ValidName(name string) bool {
	return name != "" && len(name) <= MaxName && utf8.ValidString(name) && strings.TrimSpace(name) == name &&
		!strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) })
}

// Challenge returns the value of the WWW-Authenticate header that asks for Basic; realm "" is
// DefaultRealm.
//
// It fails if a realm cannot stand in a header: it must be printable ASCII.
func Challenge(realm string) (string, error) {
	if realm == "" {
		realm = DefaultRealm
	}
	if strings.ContainsFunc(realm, func(c rune) bool { return c < ' ' || c > '~' }) {
		return "", errors.New("option Realm must be printable ASCII")
	}
	return `Basic realm="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(realm) + `"`, nil
}
