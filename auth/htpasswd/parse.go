package htpasswd

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/registry/auth/internal/basic"
	"github.com/registrykit/registry/auth/internal/fingerprint"
)

// maxCost is the maximum bcrypt cost of a line. A check with it takes seconds and cannot be
// cancelled.
const maxCost = 17

// hashes matches a hash: version, cost, salt and hash. The three versions are names of the
// algorithm that package bcrypt implements.
var hashes = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// users is the content of a password file.
type users struct {
	hash   map[string]string         // by name
	claims map[string]map[string]any // of the identity, by name
	cost   int                       // the highest of all lines; bcrypt.DefaultCost without lines
}

// lines returns the lines of a file, with their numbers, without empty lines and comments.
func lines(content []byte) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range bytes.Lines(content) {
			n++
			s := strings.TrimRight(string(line), " \t\r\n")
			if s == "" || strings.HasPrefix(s, "#") {
				continue
			}
			if !yield(n, s) {
				return
			}
		}
	}
}

// parseUsers reads a password file. Errors contain the number of the line and nothing of its text.
func parseUsers(content []byte) (*users, error) {
	u := &users{hash: make(map[string]string), claims: make(map[string]map[string]any)}
	for n, line := range lines(content) {
		name, hash, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if _, ok := u.hash[name]; ok {
			return nil, fmt.Errorf("line %d: the user has an earlier line", n)
		}
		cost, _ := bcrypt.Cost([]byte(hash)) // its form has been checked
		if cost < bcrypt.MinCost || cost > maxCost {
			return nil, fmt.Errorf("line %d: the cost of bcrypt must be %d to %d", n, bcrypt.MinCost, maxCost)
		}
		u.hash[name], u.cost = hash, max(u.cost, cost)
		u.claims[name] = map[string]any{fingerprint.Claim: fingerprint.Of("htpasswd", name, hash)}
	}
	if u.cost == 0 {
		u.cost = bcrypt.DefaultCost
	}
	return u, nil
}

func parseLine(line string) (name, hash string, err error) {
	name, hash, ok := strings.Cut(line, ":")
	switch {
	case !ok:
		return "", "", errors.New("not NAME:HASH")
	case !basic.ValidName(name):
		return "", "", errors.New("invalid user name")
	case !hashes.MatchString(hash):
		return "", "", errors.New("not a bcrypt hash ($2a$, $2b$ or $2y$)")
	}
	return name, hash, nil
}

// parseGroups reads a file of groups in the format of Apache's AuthGroupFile. It returns the groups
// of each user, in the order of the file.
func parseGroups(content []byte) (map[string][]string, error) {
	groups := make(map[string][]string)
	for n, line := range lines(content) {
		group, members, ok := strings.Cut(line, ":")
		group = strings.TrimSpace(group)
		if !ok || !basic.ValidName(group) {
			return nil, fmt.Errorf("line %d: not GROUP: USER USER", n)
		}
		for _, user := range strings.Fields(members) {
			if !basic.ValidName(user) || strings.Contains(user, ":") {
				return nil, fmt.Errorf("line %d: invalid user name", n)
			}
			if list := groups[user]; !slices.Contains(list, group) {
				groups[user] = append(list, group)
			}
		}
	}
	return groups, nil
}
