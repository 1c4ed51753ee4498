package accounts

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
)

// For tests in package accounts_test.
var (
	Skeleton  = skeleton
	ValidName = validName
	Decoy     = decoy
	ValidID   = validID
	Guesses   = guesses
	Period    = period
)

// ClaimLife is claimLife.
const ClaimLife = claimLife

// ParseHash reads a hash of a password and writes it again.
func ParseHash(text string) (string, error) {
	p, err := parseArgon(text)
	return p.String(), err
}

// HashMatches reports whether a password has a hash.
func HashMatches(text, password string) (bool, error) {
	p, err := parseArgon(text)
	return err == nil && bytes.Equal(derive(&p, password, len(p.hash)), p.hash), err
}

// CheapPasswords replaces argon2id by SHA-256, for tests that are not about it. All Accounts of one
// storage must do so. The result returns the parameters of each hash that was computed since then.
func (a *Accounts) CheapPasswords() func() []string {
	var mu sync.Mutex
	var all []string
	a.derive = func(p *argonParams, password string, size int) []byte {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, fmt.Sprintf("m=%d,t=%d,p=%d,%d", p.memory, p.time, p.threads, size))
		sum := sha256.Sum256(append(p.salt[:len(p.salt):len(p.salt)], password...))
		return sum[:size]
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// LimitCache sets the maximum weight of the facts in memory.
func (a *Accounts) LimitCache(max int) { a.facts.max = max }

// Cached returns the number of facts in memory.
func (a *Accounts) Cached() int {
	a.facts.mu.Lock()
	defer a.facts.mu.Unlock()
	return len(a.facts.young) + len(a.facts.old)
}

// CacheWeight returns the weight of the facts in memory that were used last.
func (a *Accounts) CacheWeight() int {
	a.facts.mu.Lock()
	defer a.facts.mu.Unlock()
	return a.facts.weight
}
