package signin

import "time"

// Names for tests.
const (
	MaxAttempts = maxAttempts
	LogoutEvent = logoutEvent
)

// SetClock replaces the clock of a handler.
func (h *Handler) SetClock(now func() time.Time) { h.now = now }

// IsLocal is isLocal.
func IsLocal(path string) bool { return isLocal(path) }
