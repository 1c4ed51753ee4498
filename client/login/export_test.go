package login

// Challenge is exported for the fuzz target.
type Challenge = challenge

// ParseChallenges is exported for tests.
var ParseChallenges = parseChallenges

// NewChallenge returns a challenge.
func NewChallenge(scheme string, params map[string]string) Challenge {
	return challenge{scheme, params}
}

// Parts returns the scheme and the parameters of a challenge.
func (c challenge) Parts() (string, map[string]string) { return c.scheme, c.params }

// ScopesOf, Normalize and Covers are exported for tests.
var (
	ScopesOf  = scopesOf
	Normalize = normalize
	Covers    = covers
)
