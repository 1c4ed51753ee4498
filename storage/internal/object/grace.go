package object

import "time"

// Who finds content in the storage, and does not send it, relies on its staying until a manifest
// names it. So a push, a mount, and a HEAD of who may push write the link or manifest again if it
// is old: its time is what a collection compares with the grace. Half of it is left to who came
// just before that.

// sendAgain is how long what a refused push names is kept from collectors, whatever the grace, so
// that what its client sends is there for the next; see refuse.go.
const ResendTime = time.Minute

// stale reports whether so much of the grace is over for what was put at t that who relies on it
// should put it again.
func (s *Store) Stale(t time.Time) bool {
	return s.Grace > 0 && !t.IsZero() && time.Since(t) > s.Grace/2
}
