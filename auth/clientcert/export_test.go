package clientcert

import "time"

// SetNow replaces the clock.
func (c *Certificates) SetNow(now func() time.Time) { c.now = now }
