package htpasswd

import (
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/registry/auth/internal/reload"
)

// Limits for the tests.
const (
	Interval = reload.Interval
	MaxCost  = maxCost
)

// SetNow replaces the clock.
func (f *File) SetNow(now func() time.Time) { f.now = now }

// Before makes File call a function before each bcrypt, with its cost.
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

// Remembered returns the number of entries that callers caused: verified credentials, names with
// addresses, addresses, and checks in progress.
func (f *File) Remembered() (verified, logins, addresses, flights int) { return f.guard.Sizes() }

// Parse parses a password file.
func Parse(content string) error {
	_, err := parseUsers([]byte(content))
	return err
}

// ParseGroups parses a file of groups.
func ParseGroups(content string) (map[string][]string, error) { return parseGroups([]byte(content)) }
