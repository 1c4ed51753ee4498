// Package static authenticates users whom a program names: a few machines, or the one user of a
// test. They log in by Basic.
//
// Secrets are compared by a fast hash and guesses are not slowed. They must be long and random, as
// crypto/rand.Text makes them; what people think up belongs in
// [github.com/registrykit/registry/auth/htpasswd].
package static

import (
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
)

// User is what a user logs in with, and is.
type User struct {
	// Secret is the password. It must not be empty.
	Secret auth.Secret
	// Groups are the groups the user is in. Default: none.
	Groups []string
	// Claims are what an Authorizer may want to know besides. Default: none.
	Claims map[string]any
}

// Options are the options of [New]. nil is the zero Options.
type Options struct {
	// Realm is what clients are told that they log in to: printable ASCII. Default: "registry".
	Realm string
}

// Users are the users that a program has named. It is safe for concurrent use.
type Users struct {
	key       []byte // of the MACs, random
	list      []record
	challenge string
}

// record is a user. The secret is not kept.
type record struct {
	name, secret [sha256.Size]byte // MACs
	identity     auth.Identity
}

var _ auth.Authenticator = (*Users)(nil)

// New returns an Authenticator for users, by their names. A request is compared with each of them:
// it is for some hundreds at most. opts may be nil.
//
// It fails if a name is not one that Basic can carry, a secret is empty, or an option makes no
// sense.
func New(users map[string]User, opts *Options) (*Users, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
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
			return nil, fmt.Errorf("static: %q is not the name of a user", name)
		case user.Secret == "":
			return nil, fmt.Errorf("static: user %q has no secret", name)
		}
		u.list = append(u.list, record{
			name: u.mac(name), secret: u.mac(user.Secret.Value()),
			identity: auth.Identity{Name: name, Groups: slices.Clip(slices.Clone(user.Groups)), Claims: maps.Clone(user.Claims)},
		})
	}
	return u, nil
}

// Authenticate implements [auth.Authenticator]. How long it takes depends on how many users there
// are, and neither on who is asked for nor on what is wrong.
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

// Challenge implements [auth.Authenticator]: it asks for Basic.
func (u *Users) Challenge(*http.Request, []auth.Access) string { return u.challenge }

func (u *Users) mac(s string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, u.key)
	h.Write([]byte(s))
	h.Sum(sum[:0])
	return sum
}
