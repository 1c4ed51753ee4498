package session

import (
	"time"

	"github.com/registrykit/registry/auth/accounts"
)

// SetClock replaces the clock.
func (s *Sessions) SetClock(now func() time.Time) { s.now = now }

// NewValue returns a value with a valid checksum that is no session.
func NewValue(owner accounts.ID) string { return newValue(owner) }
