package htpasswd

import (
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/registry/auth/internal/reload"
)

// The limits.
const (
	Interval    = reload.Interval
	MaxVerified = maxVerified
	MaxCost     = maxCost
)

// SetNow sets the clock.
func (f *File) SetNow(now func() time.Time) { f.now = now }

// Before has a function called before each bcrypt, with the cost of it.
func (f *File) Before(call func(cost int)) {
	f.compare = func(hash, password []byte) error {
		cost, err := bcrypt.Cost(hash)
		if err != nil {
			return err
		}
		call(cost)
		return bcrypt.CompareHashAndPassword(hash, password)
	}
}

// Remembered is how much memory callers have filled: credentials, names with addresses, addresses,
// and what is under way.
func (f *File) Remembered() (verified, logins, addresses, flights int) {
	f.flights.mu.Lock()
	defer f.flights.mu.Unlock()
	return f.verified.Len(), f.logins.Len(), f.addresses.Len(), len(f.flights.flying)
}

// AddVerified remembers n credentials that nobody has.
func (f *File) AddVerified(n int) {
	for i := range n {
		f.verified.Add(f.mac("test", string(rune(i))), struct{}{}, 1)
	}
}

// Parse reads a password file, and ParseGroups one of groups.
func Parse(content string) error {
	_, err := parseUsers([]byte(content))
	return err
}

func ParseGroups(content string) (map[string][]string, error) { return parseGroups([]byte(content)) }
