package accounts

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The lengths of names of users and organisations, in bytes.
const (
	minName = 2
	maxName = 39
)

// nameRecord is the fact that a name belongs to an account, or is claimed for an account that is being
// created or renamed. It is valid only while the record of the account lists a name with the same
// skeleton; see claim.go.
type nameRecord struct {
	Name string    `json:"name"`
	ID   ID        `json:"id"`
	At   time.Time `json:"at"`
	// Released is the time at which the account gave up the name. It is valid only if the account does
	// not list the name.
	Released time.Time `json:"released,omitzero"`
}

// validName reports whether a text has the syntax of names of users, organisations, teams and
// robots.
func validName(name string) bool {
	if len(name) < minName || len(name) > maxName || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == '-' && name[i-1] != '-' && i < len(name)-1:
		default:
			return false
		}
	}
	return true
}

// checkName returns ErrInvalid with the rule that a name breaks. It does not repeat the name, which
// may be long or have control characters.
func checkName(name string) error {
	if validName(name) {
		return nil
	}
	return fmt.Errorf("%w: a name has %d to %d lower-case letters, digits and single hyphens between them, and begins "+
		"with a letter", ErrInvalid, minName, maxName)
}

// skeleton maps names that look alike to one text, which no name may share with another one:
// hyphens are dropped, and 0 becomes o, 1 becomes l, rn becomes m, and vv becomes w. These are the
// pairs of UTS 39 (confusables.txt) that the syntax of names leaves. Of a sequence of v and w, the v
// comes last, because vw and wv both look like vvv.
//
// name is valid. The result has the syntax of a component of a key. It is name itself, without an
// allocation, for most names.
func skeleton(name string) string {
	if !strings.ContainsAny(name, "-01") && !strings.Contains(name, "rn") && !strings.Contains(name, "vv") &&
		!strings.Contains(name, "vw") {
		return name
	}
	b := make([]byte, 0, maxName)
	for i := range len(name) {
		c := name[i]
		switch c {
		case '-':
			continue
		case '0':
			c = 'o'
		case '1':
			c = 'l'
		}
		switch last := len(b) - 1; {
		case c == 'n' && last >= 0 && b[last] == 'r':
			b[last] = 'm'
		case c == 'v' && last >= 0 && b[last] == 'v':
			b[last] = 'w'
		case c == 'w' && last >= 0 && b[last] == 'v':
			b[last] = 'w'
			b = append(b, 'v')
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// lists reports whether one of the present and former names of an account has a skeleton.
func (a *Account) lists(skel string) bool {
	return skeleton(a.Name) == skel ||
		slices.ContainsFunc(a.Former, func(name string) bool { return skeleton(name) == skel })
}

// named reports whether name is the present name or a former one.
func (a *Account) named(name string) bool { return a.Name == name || slices.Contains(a.Former, name) }

// reserved are names that only an Actor with Force can take: paths of the registry and of pages
// beside it, names that people would take for the operator, and addresses that RFC 2142 gives a
// meaning.
const reserved = `abuse about access account accounts admin administrator administrators admins all anonymous api app
apps assets audit auth authorize billing blob blobs blog catalog ci config contact dashboard debug default demo docker
docs download downloads everybody everyone example explore favicon group groups guest guests health healthz help home
hostmaster image images info internal invite issues jobs jwks library legal local localhost login logout mail manifest
manifests members metrics mirror moderator new news nobody noc none noreply null oauth oauth2 official oidc operator
org organisation organisations organization organizations orgs owner owners password policy postmaster pprof pricing
privacy private profile proxy public quota readyz register registry repo repositories repository robot robots root
search secret secrets security service settings setup signin signout signup site ssl sso staff static status sudo
superuser support sys sysadmin system tag tags team teams terms test token tokens undefined unknown upload uploads user
username users v1 v2 v3 verified webhook webhooks webmaster well-known www`

// reservedNames returns the skeletons of the reserved names and of more.
//
// Errors: ErrInvalid for what is no name.
func reservedNames(more []string) (map[string]struct{}, error) {
	names := make(map[string]struct{})
	for _, name := range slices.Concat(strings.Fields(reserved), more) {
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("reserved name %.50q: %w", name, err)
		}
		names[skeleton(name)] = struct{}{}
	}
	return names, nil
}

// isReserved reports whether a name is reserved, or looks like a reserved name. Here, the digit 1 also
// looks like i, so that adm1n is reserved.
func (a *Accounts) isReserved(name string) bool {
	_, ok := a.reserved[skeleton(name)]
	if !ok {
		_, ok = a.reserved[skeleton(strings.ReplaceAll(name, "1", "i"))]
	}
	return ok
}

// decoyKey is random, so that nobody can predict the decoys of this process.
var decoyKey = func() (key [32]byte) {
	rand.Read(key[:])
	return key
}()

// decoy returns an ID that no account has. It is always the same for a name. A login with an unknown name
// reads the account and the password of its decoy, so that it costs the same requests to the storage as
// a login with a known name. Otherwise the time would reveal which names exist.
func decoy(name string) ID {
	m := hmac.New(sha256.New, decoyKey[:])
	m.Write([]byte(name))
	return idOf([10]byte(m.Sum(nil)))
}
