// Package static authenticates a fixed list of users, such as a few machines or the user of a test.
// They log in by Basic.
//
// Secrets are compared by a fast hash, and guesses are not limited. So secrets must be long and
// random, such as those of crypto/rand.Text. For passwords that people choose, use
// [github.com/registrykit/registry/auth/htpasswd].
package static

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/basic"
	"github.com/registrykit/registry/auth/internal/fingerprint"
	"github.com/registrykit/registry/internal/options"
)

// User is the secret of a user and the rest of the identity.
type User struct {
	// Secret is the password. It must not be empty.
	Secret auth.Secret
	// Groups are the groups that the user is in. Default: none.
	Groups []string
	// Claims are other facts that an Authorizer may need. Names that begin with "registrykit.io/" are
	// reserved. Default: none.
	Claims map[string]any
}

// Options are the options of [New]. A nil *Options means the zero Options.
type Options struct {
	// Realm is the realm of the challenge, which clients may show to users. It must be printable
	// ASCII. Default: "registry".
	Realm string
}

// Users authenticates a fixed list of users. It is safe for concurrent use.
type Users struct {
	key       []byte // random, for the MACs
	list      []record
	challenge string
}

// record is a user. It has the MAC of the secret and not the secret.
type record struct {
	name, secret [sha256.Size]byte // MACs
	identity     auth.Identity
}

var (
	_ auth.Authenticator = (*Users)(nil)
	_ auth.Renewer       = (*Users)(nil)
)

// New returns an Authenticator for users, by name. Each request is compared with all of them, so
// use it for some hundreds at most. opts may be nil.
//
// New returns an error if Basic cannot transmit a name, if a secret is empty, if the name of a claim is
// reserved, or if an option is invalid.
func New(users map[string]User, opts *Options) (*Users, error) {
	o := options.Value(opts)
	challenge, err := basic.Challenge(o.Realm)
	if err != nil {
		return nil, fmt.Errorf("static: %w", err)
	}
	u := &Users{key: make([]byte, sha256.Size), challenge: challenge}
	rand.Read(u.key)
	for _, name := range slices.Sorted(maps.Keys(users)) {
		user := users[name]
		switch {
		case !basic.ValidName(name) || strings.Contains(name, ":"):
			return nil, fmt.Errorf("static: invalid user name %q", name)
		case user.Secret == "":
			return nil, fmt.Errorf("static: user %q has no secret", name)
		}
		claims := map[string]any{fingerprint.Claim: fingerprint.Of("static", name, user.Secret.Value())}
		for claim, value := range user.Claims {
			if strings.HasPrefix(claim, fingerprint.Reserved) {
				return nil, fmt.Errorf("static: user %q has the reserved claim %q", name, claim)
			}
			claims[claim] = value
		}
		u.list = append(u.list, record{
			name: u.mac(name), secret: u.mac(user.Secret.Value()),
			identity: auth.Identity{Name: name, Groups: slices.Clip(slices.Clone(user.Groups)), Claims: claims},
		})
	}
	return u, nil
}

// Authenticate implements [auth.Authenticator]. Besides User.Claims, the identity has the claim
// "registrykit.io/password", by which Renew finds out whether the secret has changed. The time it takes
// depends on the number of users, and not on the name or on whether name or secret is wrong.
//
// Errors: auth.ErrCredentials.
func (u *Users) Authenticate(r *http.Request) (auth.Identity, error) {
	login, err := basic.Parse(r)
	if err != nil || login == nil {
		return auth.Identity{}, err
	}
	name, secret := u.mac(login.User), u.mac(login.Password)
	found := -1
	for i := range u.list {
		same := subtle.ConstantTimeCompare(u.list[i].name[:], name[:]) & subtle.ConstantTimeCompare(u.list[i].secret[:],
			secret[:])
		found = subtle.ConstantTimeSelect(same, i, found)
	}
	if found < 0 {
		return auth.Identity{}, auth.ErrCredentials
	}
	return u.list[found].identity, nil
}

// Renew implements [auth.Renewer]: the user is in the list, with the same secret.
//
// Errors: auth.ErrCredentials.
func (u *Users) Renew(_ context.Context, identity auth.Identity) (auth.Identity, error) {
	for i := range u.list {
		present := u.list[i].identity
		if now, _ := present.Claims[fingerprint.Claim].(string); present.Name == identity.Name &&
			fingerprint.Same(identity, now) {
			return present, nil
		}
	}
	return auth.Identity{}, auth.ErrCredentials
}

// Challenge implements [auth.Authenticator]. It asks for Basic.
func (u *Users) Challenge(*http.Request, []auth.Access) string { return u.challenge }

func (u *Users) mac(s string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, u.key)
	h.Write([]byte(s))
	h.Sum(sum[:0])
	return sum
}
