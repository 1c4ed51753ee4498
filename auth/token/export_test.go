package token

import "time"

// SetNow sets the clock.
func (l *Logins) SetNow(now func() time.Time) { l.now = now }

// Remembered is how many tokens are remembered.
func (l *Logins) Remembered() int { return len(l.cache.young) + len(l.cache.old) }

// The limits.
const (
	MaxScopes   = maxScopes
	MaxToken    = maxToken
	MaxVerified = maxVerified
	Refresh     = refresh
	Stale       = stale
	Leeway      = leeway
)
