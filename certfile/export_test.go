package certfile

import "time"

// SetNow sets the clock.
func (c *Certificate) SetNow(now func() time.Time) { c.now = now }
