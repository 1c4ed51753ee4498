package object

import "time"

// ResendTime is how long collections leave alone what a refused push names, whatever the grace
// period, so that what its client then sends is still there when it pushes again. See
// storage/refused.go.
const ResendTime = time.Minute

// Stale reports whether content that was written at t is older than half the grace period. Without
// a grace period, nothing is stale.
//
// A caller that finds content in the storage, and does not send it, relies on that content to stay
// until a manifest names it. So a push, a mount, and a HEAD by a caller with push access write a
// stale link or manifest again: a collection compares the time of that write with the grace period.
// The other half of the grace period is for callers that came just before and found the content
// young enough.
func (s *Store) Stale(t time.Time) bool {
	return s.Grace > 0 && !t.IsZero() && time.Since(t) > s.Grace/2
}
